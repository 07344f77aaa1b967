//! The key of an outbound listener and how it is built.

use std::sync::Arc;

use api::Problem;
use envoy::config::core::v3::TrafficDirection;
use envoy::config::listener::v3::{
    AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter,
};
use envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use model::Ref;

use super::bind::{Bind, Wildcard};
use super::{Chain, HttpChain, OutboundDefaults, claims};
use crate::context::Context;
use crate::listeners::exact_balance;
use crate::listeners::shape::{address, duration, listener_filter};
use crate::listeners::tcp::Forward;
use crate::output::Built;

/// Bytes that the TLS inspector reads at first: enough for the usual ClientHello.
const TLS_INSPECTOR_BUFFER: u32 = 512;

/// All that an outbound listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutboundKey {
    /// The first address; it names the listener.
    pub address: Arc<str>,
    /// Further addresses.
    pub additional: Vec<Arc<str>>,
    /// The port; 0 for a Unix socket.
    pub port: u16,
    /// Whether it really binds.
    pub bound: bool,
    /// Its chains, those for some connections before the one for all; at least one.
    pub chains: Vec<Chain>,
    /// The cluster of connections that no chain takes, if there can be any.
    pub fallback: Option<Arc<str>>,
    /// What it has in common with others.
    pub defaults: Ref<OutboundDefaults>,
    /// What services and rules asked for and did not get.
    pub problems: Vec<Problem>,
}

impl OutboundKey {
    /// A listener with these chains. Of several chains that take every connection the last one counts, of others that
    /// meet the first one.
    pub(super) fn new(
        bind: Bind,
        port: u16,
        bound: bool,
        mut chains: Vec<Chain>,
        fallback: &Arc<str>,
        defaults: &Ref<OutboundDefaults>,
    ) -> Self {
        let mut last = None;
        while let Some(at) = chains.iter().position(Chain::takes_all) {
            last = Some(chains.remove(at));
        }
        let fallback = last.is_none().then(|| Arc::clone(fallback));
        chains.extend(last);
        let (chains, problems) = claims::settle(chains, port);
        let Bind { address, extra } = bind;
        let defaults = defaults.clone();
        Self { address, additional: extra, port, bound, chains, fallback, defaults, problems }
    }

    /// The name of the listener.
    pub(super) fn name(&self) -> String {
        format!("{}_{}", self.address, self.port)
    }

    /// Builds the listener.
    pub(crate) fn build(&self) -> Built<Listener> {
        let defaults = &*self.defaults;
        let name = self.name();
        let mut filter_chains: Vec<FilterChain> =
            self.chains.iter().map(|c| c.build(&name, &self.address, self.port, defaults)).collect();
        let default_filter_chain = match &self.fallback {
            Some(cluster) => Some(fallback(cluster, defaults)),
            None if filter_chains.len() > 1 => filter_chains.pop(),
            None => None,
        };
        let additional = |a: &Arc<str>| AdditionalAddress {
            address: Some(address(a, self.port)),
            ..AdditionalAddress::default()
        };
        let (listener_filters, timeout) = self.listener_filters();
        let message = Listener {
            name,
            address: Some(address(&self.address, self.port)),
            additional_addresses: self.additional.iter().map(additional).collect(),
            traffic_direction: TrafficDirection::Outbound.into(),
            filter_chains,
            default_filter_chain,
            listener_filters,
            listener_filters_timeout: Some(timeout),
            continue_on_listener_filters_timeout: true,
            bind_to_port: (!self.bound).then(|| false.into()),
            max_connections_to_accept_per_socket_event: accepts(self.bound, defaults),
            connection_balance_config: defaults.exact_balance.then(exact_balance),
            ..Listener::default()
        };
        let mut sources: Vec<_> = self.chains.iter().flat_map(Chain::sources).collect();
        sources.sort();
        sources.dedup();
        Built { problems: self.problems.clone(), ..Built::new(message, sources) }
    }

    /// What looks at a connection before a chain is chosen, and how long it may wait for the client.
    fn listener_filters(&self) -> (Vec<ListenerFilter>, envoy::google::protobuf::Duration) {
        let mut filters = Vec::new();
        if self.chains.iter().any(Chain::needs_tls_inspector) {
            filters.push(tls_inspector());
        }
        let mut timeout = api::Duration::ZERO;
        if self.chains.iter().any(Chain::needs_http_inspector) {
            filters.push(http_inspector());
            timeout = self.defaults.detection_timeout;
        }
        (filters, duration(timeout))
    }
}

/// The filter that reads names and protocols from the beginning of TLS.
pub(in crate::listeners) fn tls_inspector() -> ListenerFilter {
    let config = TlsInspector {
        initial_read_buffer_size: Some(TLS_INSPECTOR_BUFFER.into()),
        ..TlsInspector::default()
    };
    listener_filter("envoy.filters.listener.tls_inspector", &config)
}

/// The filter that tells HTTP from the rest.
pub(in crate::listeners) fn http_inspector() -> ListenerFilter {
    listener_filter("envoy.filters.listener.http_inspector", &HttpInspector::default())
}

/// How many connections a listener takes at a time, if it really binds.
pub(in crate::listeners) fn accepts(
    bound: bool,
    defaults: &OutboundDefaults,
) -> Option<envoy::google::protobuf::UInt32Value> {
    let limit = defaults.accepts_per_event;
    (bound && limit > 0).then(|| limit.into())
}

/// The filters of a chain that sends everything to one cluster.
pub(super) fn to_cluster(
    cluster: &str,
    idle: Option<api::Duration>,
    defaults: &OutboundDefaults,
) -> Vec<Filter> {
    Forward::to(cluster, idle, &defaults.access_logs).filters()
}

fn fallback(cluster: &str, defaults: &OutboundDefaults) -> FilterChain {
    FilterChain {
        name: "PassthroughFilterChain".to_owned(),
        filter_chain_match: Some(FilterChainMatch::default()),
        filters: to_cluster(cluster, defaults.idle_timeout, defaults),
        ..FilterChain::default()
    }
}

/// The listener of the HTTP forward proxy, if there is one. The metadata's port beats the mesh's.
pub(super) fn http_proxy(context: &Context<'_>, defaults: &Ref<OutboundDefaults>) -> Option<OutboundKey> {
    let mesh = &context.settings().mesh;
    let port = context.view.http_proxy_port.or_else(|| u16::try_from(mesh.proxy_http_port).ok())?;
    let chain = HttpChain {
        host: None,
        sniffed: false,
        plaintext: false,
        grpc_web: false,
        absolute_url: true,
        dns_cache: None,
        source: None,
    };
    let wildcard = Wildcard::of(context.view.families);
    let bind = Bind::to(Arc::clone(&wildcard.local));
    let never = Arc::from("");
    (port > 0).then(|| OutboundKey::new(bind, port, true, vec![Chain::Http(chain)], &never, defaults))
}
