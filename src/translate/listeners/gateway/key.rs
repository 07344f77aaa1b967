//! The key of a gateway's listener and how it is built.

use std::sync::Arc;

use api::{ObjectRef, Problem};
use envoy::config::core::v3::TrafficDirection;
use envoy::config::listener::v3::{AdditionalAddress, Listener, ListenerFilter};
use envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use model::Ref;

use super::chain::GatewayChain;
use crate::listeners::exact_balance;
use crate::listeners::outbound::{OutboundDefaults, accepts, tls_inspector};
use crate::listeners::shape::{address, listener_filter};
use crate::output::Built;

/// All that a gateway's listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayKey {
    /// The first address; it names the listener.
    pub address: Arc<str>,
    /// Further addresses.
    pub additional: Vec<Arc<str>>,
    /// The port.
    pub port: u16,
    /// Its chains; at least one.
    pub chains: Vec<GatewayChain>,
    /// Connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// What it has in common with others.
    pub defaults: Ref<OutboundDefaults>,
    /// What its Gateways asked for and did not get.
    pub problems: Vec<Problem>,
}

impl GatewayKey {
    /// The name of the listener.
    pub(super) fn name(&self) -> String {
        format!("{}_{}", self.address, self.port)
    }

    /// Builds the listener.
    ///
    /// No time limit is set for what inspects connections: Envoy's own keeps slow clients from piling up.
    pub(crate) fn build(&self) -> Built<Listener> {
        let defaults = &*self.defaults;
        let name = self.name();
        let mut problems = self.problems.clone();
        let mut sources: Vec<ObjectRef> = Vec::new();
        let mut filter_chains = Vec::with_capacity(self.chains.len());
        for chain in &self.chains {
            let built = chain.build(&name, defaults);
            filter_chains.push(built.message);
            sources.extend(built.sources);
            problems.extend(built.problems);
        }
        sources.sort();
        sources.dedup();
        let additional = |a: &Arc<str>| AdditionalAddress {
            address: Some(address(a, self.port)),
            ..AdditionalAddress::default()
        };
        let message = Listener {
            address: Some(address(&self.address, self.port)),
            additional_addresses: self.additional.iter().map(additional).collect(),
            traffic_direction: TrafficDirection::Outbound.into(),
            filter_chains,
            listener_filters: self.listener_filters(),
            max_connections_to_accept_per_socket_event: accepts(true, defaults),
            connection_balance_config: defaults.exact_balance.then(exact_balance),
            per_connection_buffer_limit_bytes: defaults.buffer_limit.map(Into::into),
            access_log: defaults.access_logs.listener(),
            name,
            ..Listener::default()
        };
        Built { message, sources, problems }
    }

    fn listener_filters(&self) -> Vec<ListenerFilter> {
        let proxy_protocol = self
            .proxy_protocol
            .then(|| listener_filter("envoy.filters.listener.proxy_protocol", &ProxyProtocol::default()));
        let inspects = self.chains.iter().any(GatewayChain::needs_tls_inspector);
        proxy_protocol.into_iter().chain(inspects.then(tls_inspector)).collect()
    }
}
