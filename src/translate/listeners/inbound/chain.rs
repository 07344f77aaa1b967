//! The filter chains of one port of a workload, and those of ports that nothing is known of.

use api::{ObjectRef, Problem, Severity};
use envoy::config::core::v3::TransportSocket;
use envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch};
use model::Ref;
use model::protocol::{Class, Protocol};

use super::common::Shared;
use super::matches::{self, Take};
use super::{InboundDefaults, VIRTUAL_INBOUND};
use crate::authn::Mode;
use crate::authz::Filters;
use crate::clusters::inbound::{self as clusters, INBOUND_PASSTHROUGH};
use crate::clusters::{metadata, names};
use crate::listeners::http::Route;
use crate::listeners::tcp::{Forward, Inspection};
use crate::routes::inbound::{Inbound, configuration};
use crate::tls::server::{ServerTls, Transport};
use crate::workload::InboundPort;

/// Which ports a group of chains is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A port that the workload serves.
    Port(Ref<InboundPort>),
    /// A port that no service has; without a number all ports that no other group is for.
    Passthrough(Option<u16>),
}

/// The filter chains of a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The port.
    pub place: Place,
    /// What it takes.
    pub mode: Mode,
    /// The policies that decided so.
    pub sources: Vec<ObjectRef>,
    /// How TLS ends that is not the mesh's, if a Sidecar says so.
    pub tls: Option<Box<ServerTls>>,
}

impl Group {
    /// The port that the chains match; `None` for all others.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Port(port) => Some(port.number),
            Place::Passthrough(port) => *port,
        }
    }

    /// Which connections the chains take, in order.
    pub(super) fn takes(&self) -> &'static [Take] {
        let class = match &self.place {
            Place::Port(port) => port.protocol.class(),
            Place::Passthrough(_) => Class::Auto,
        };
        if self.tls.is_some() { matches::ending_tls(class) } else { matches::of(class, self.mode) }
    }

    /// The objects that the chains came from.
    pub(super) fn sources(&self) -> impl Iterator<Item = &ObjectRef> {
        let port = match &self.place {
            Place::Port(port) => Some(port),
            Place::Passthrough(_) => None,
        };
        let services = port.into_iter().flat_map(|p| p.services.iter().map(|s| &s.source));
        let sidecar = port.and_then(|p| p.ingress.as_ref()).map(|i| &i.sidecar.source);
        services.chain(sidecar).chain(&self.sources)
    }

    /// Builds the chains. What they hold is the same with and without mesh mTLS.
    pub(super) fn build(&self, shared: &mut Shared<'_>) -> Vec<FilterChain> {
        let (mut http, mut tcp) = (None, None);
        let takes = self.takes().iter();
        let chains = takes.map(|take| {
            let filters = match take.http {
                true => http.get_or_insert_with(|| self.http(shared)),
                false => tcp.get_or_insert_with(|| self.tcp(shared.defaults, shared.authz)),
            };
            self.chain(*take, filters.clone(), shared)
        });
        chains.collect()
    }

    /// What is not in effect of the TLS that a Sidecar asks for.
    pub(super) fn problems(&self) -> Vec<Problem> {
        if let Some(tls) = &self.tls {
            return tls.build(Transport::Tcp).1;
        }
        let Place::Port(port) = &self.place else { return Vec::new() };
        let Some(ingress) = &port.ingress else { return Vec::new() };
        let asked = ingress.sidecar.spec.ingress.get(ingress.index).is_some_and(|i| i.tls.is_some());
        let (message, hint) = match self.mode {
            _ if !asked => return Vec::new(),
            Mode::Disable => (
                "TLS does not end at ingress listeners; what comes goes to the workload as it is",
                "start the control plane with ENABLE_TLS_ON_SIDECAR_INGRESS=true",
            ),
            Mode::Strict | Mode::Permissive => (
                "the port takes the mesh's mTLS, so no other TLS ends there",
                "give the port the mode DISABLE by a PeerAuthentication",
            ),
        };
        vec![Problem {
            severity: Severity::Warning,
            object: ingress.sidecar.source.key.clone(),
            field: format!("spec.ingress[{}].tls", ingress.index),
            message: message.to_owned(),
            hint: hint.to_owned(),
        }]
    }

    fn socket(&self, shared: &Shared<'_>) -> TransportSocket {
        self.tls.as_ref().map_or_else(|| shared.socket.clone(), |tls| tls.build(Transport::Tcp).0)
    }

    fn chain(&self, take: Take, filters: Vec<Filter>, shared: &Shared<'_>) -> FilterChain {
        FilterChain {
            name: self.name(take, shared.defaults),
            filter_chain_match: Some(take.filter_chain_match(self.port(), shared.defaults.http10)),
            filters,
            transport_socket: take.ends.then(|| self.socket(shared)),
            metadata: match &self.place {
                Place::Port(port) => port.ingress.as_ref().map(|i| metadata::of_sidecar(&i.sidecar.source)),
                Place::Passthrough(_) => None,
            },
            ..FilterChain::default()
        }
    }

    fn name(&self, take: Take, defaults: &InboundDefaults) -> String {
        match &self.place {
            Place::Port(port) => name(port, defaults),
            Place::Passthrough(_) if take.http => format!("{VIRTUAL_INBOUND}-catchall-http"),
            Place::Passthrough(_) => VIRTUAL_INBOUND.to_owned(),
        }
    }

    fn http(&self, shared: &mut Shared<'_>) -> Vec<Filter> {
        let defaults = shared.defaults;
        let retries = defaults.retries.as_deref();
        let cluster;
        let (protocol, prefix, route) = match &self.place {
            Place::Port(port) => {
                cluster = names::inbound(port.number);
                let grpc = port.protocol.is_grpc();
                let route =
                    Inbound { cluster: &cluster, host: host(port), port: port.service_port, grpc, retries };
                (port.protocol, format!("inbound_{};", name(port, defaults)), route)
            }
            Place::Passthrough(_) => {
                let route = Inbound { cluster: INBOUND_PASSTHROUGH, host: "", port: 0, grpc: false, retries };
                (Protocol::Auto, format!("{INBOUND_PASSTHROUGH};"), route)
            }
        };
        vec![shared.manager(protocol, prefix, Route::Inline(Box::new(configuration(route))))]
    }

    fn tcp(&self, defaults: &InboundDefaults, authz: &Filters) -> Vec<Filter> {
        let (cluster, place, protocol) = match &self.place {
            Place::Port(port) => (names::inbound(port.number), stat_place(port), port.protocol),
            Place::Passthrough(_) => {
                (INBOUND_PASSTHROUGH.to_owned(), names::Place::default(), Protocol::Auto)
            }
        };
        let mut forward = Forward::to(&cluster, defaults.idle_timeout, &defaults.access_logs);
        if !defaults.stat_pattern.is_empty() {
            forward.stat_prefix = place.expand(&defaults.stat_pattern);
        }
        forward.inspection = match protocol {
            Protocol::Mongo if defaults.mongo => Inspection::Mongo,
            Protocol::Redis if defaults.redis => Inspection::Redis,
            _ => Inspection::None,
        };
        authz.tcp.iter().cloned().chain(forward.filters()).collect()
    }
}

/// The name of the chains of a port: address and port.
fn name(port: &InboundPort, defaults: &InboundDefaults) -> String {
    let address = port.ingress.as_ref().map_or(&defaults.wildcard.any, |i| &i.bind);
    format!("{address}_{}", port.number)
}

/// The host that traces name: that of the Sidecar if it lists the port, else that of the first service.
fn host(port: &InboundPort) -> &str {
    match (&port.ingress, port.services.first()) {
        (Some(ingress), _) => &ingress.host,
        (None, Some(service)) => &service.host,
        (None, None) => "",
    }
}

/// What TCP statistics call the port.
fn stat_place(port: &InboundPort) -> names::Place<'_> {
    match &port.ingress {
        Some(ingress) => clusters::of_ingress(port, &ingress.host),
        None => clusters::place(port),
    }
}

/// Connections to the proxy's own port would be sent to it again, without end.
pub(super) fn own_port(port: u16) -> FilterChain {
    // Such connections are a mistake of the client's: they are not logged.
    FilterChain {
        name: format!("{VIRTUAL_INBOUND}-blackhole"),
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(u32::from(port).into()),
            ..FilterChainMatch::default()
        }),
        filters: Forward::to("BlackHoleCluster", None, &Ref::default()).filters(),
        ..FilterChain::default()
    }
}
