//! The key of a gateway's listener and how it is built.

use std::sync::Arc;

use api::{ObjectRef, Problem};
use envoy::config::core::v3::TrafficDirection;
use envoy::config::core::v3::UdpSocketConfig;
use envoy::config::listener::v3::{
    AdditionalAddress, Listener, ListenerFilter, QuicProtocolOptions, UdpListenerConfig,
};
use envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use model::Ref;

use super::chain::GatewayChain;
use crate::authz::Policies;
use crate::jwt::Jwt;
use crate::listeners::exact_balance;
use crate::listeners::outbound::{OutboundDefaults, accepts, tls_inspector};
use crate::listeners::shape::{address, listener_filter, udp_address};
use crate::output::Built;
use crate::tls::server::Transport;

/// All that a gateway's listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayKey {
    /// The first address; it names the listener.
    pub address: Arc<str>,
    /// Further addresses.
    pub additional: Vec<Arc<str>>,
    /// The port.
    pub port: u16,
    /// What connections come over.
    pub transport: Transport,
    /// Its chains; at least one.
    pub chains: Vec<GatewayChain>,
    /// Connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Which tokens of requests are verified, where it carries HTTP.
    pub jwt: Option<Ref<Jwt>>,
    /// Who may do what.
    pub authz: Ref<Policies>,
    /// What it has in common with others.
    pub defaults: Ref<OutboundDefaults>,
    /// What its Gateways asked for and did not get.
    pub problems: Vec<Problem>,
}

impl GatewayKey {
    /// The name of the listener.
    pub(super) fn name(&self) -> String {
        let kind = if self.is_quic() { "udp_" } else { "" };
        format!("{kind}{}_{}", self.address, self.port)
    }

    fn is_quic(&self) -> bool {
        self.transport == Transport::Quic
    }

    /// Builds the listener.
    ///
    /// No time limit is set for what inspects connections: Envoy's own keeps slow clients from piling up.
    pub(crate) fn build(&self) -> Built<Listener> {
        let defaults = &*self.defaults;
        let name = self.name();
        let mut authz = self.authz.filters();
        let mut problems = self.problems.clone();
        problems.append(&mut authz.problems);
        let mut sources: Vec<ObjectRef> = self.authz.sources().cloned().collect();
        let mut filter_chains = Vec::with_capacity(self.chains.len());
        for chain in &self.chains {
            let built = chain.build(&name, self.transport, self.jwt.as_deref(), defaults, &authz);
            filter_chains.push(built.message);
            sources.extend(built.sources);
            problems.extend(built.problems);
        }
        sources.extend(self.jwt.iter().flat_map(|j| &j.sources).cloned());
        problems.extend(self.jwt.iter().flat_map(|j| &j.problems).cloned());
        sources.sort();
        sources.dedup();
        let at = if self.is_quic() { udp_address } else { address };
        let additional = |a: &Arc<str>| AdditionalAddress {
            address: Some(at(a, self.port)),
            ..AdditionalAddress::default()
        };
        let message = Listener {
            address: Some(at(&self.address, self.port)),
            additional_addresses: self.additional.iter().map(additional).collect(),
            traffic_direction: TrafficDirection::Outbound.into(),
            filter_chains,
            listener_filters: self.listener_filters(),
            max_connections_to_accept_per_socket_event: accepts(true, defaults),
            udp_listener_config: self.is_quic().then(quic),
            // Envoy refuses it beside UDP.
            connection_balance_config: (defaults.exact_balance && !self.is_quic()).then(exact_balance),
            per_connection_buffer_limit_bytes: defaults.buffer_limit.map(Into::into),
            access_log: defaults.access_logs.listener(),
            name,
            ..Listener::default()
        };
        Built { message, sources, problems }
    }

    /// What looks at connections before a chain is chosen: QUIC itself knows the names that clients ask for.
    fn listener_filters(&self) -> Vec<ListenerFilter> {
        if self.is_quic() {
            return Vec::new();
        }
        let proxy_protocol = self
            .proxy_protocol
            .then(|| listener_filter("envoy.filters.listener.proxy_protocol", &ProxyProtocol::default()));
        let inspects = self.chains.iter().any(GatewayChain::needs_tls_inspector);
        proxy_protocol.into_iter().chain(inspects.then(tls_inspector)).collect()
    }
}

/// UDP packets are taken for QUIC, with Envoy's own limits.
fn quic() -> UdpListenerConfig {
    UdpListenerConfig {
        quic_options: Some(QuicProtocolOptions::default()),
        downstream_socket_config: Some(UdpSocketConfig::default()),
        ..UdpListenerConfig::default()
    }
}
