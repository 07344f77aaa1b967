//! What the chains of one listener have in common: built once, for all ports and for mesh mTLS and plain text alike.

use std::collections::BTreeMap;

use envoy::config::core::v3::TransportSocket;
use envoy::config::listener::v3::Filter;
use model::protocol::Protocol;

use super::InboundDefaults;
use crate::authz::Filters;
use crate::listeners::http::{Common, Manager, Route, Side};

/// What the chains of a listener share.
pub(super) struct Shared<'a> {
    /// What the keys of all inbound listeners of the workload say.
    pub(super) defaults: &'a InboundDefaults,
    /// Who may do what.
    pub(super) authz: &'a Filters,
    /// How mesh mTLS is taken.
    pub(super) socket: TransportSocket,
    managers: BTreeMap<Speech, Common>,
}

/// How a port is spoken to, as far as managers differ by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Speech {
    http2: bool,
    grpc_web: bool,
}

impl<'a> Shared<'a> {
    pub(super) fn new(defaults: &'a InboundDefaults, authz: &'a Filters) -> Self {
        Self { defaults, authz, socket: defaults.tls.socket(), managers: BTreeMap::new() }
    }

    /// The HTTP connection manager of a port of this protocol.
    pub(super) fn manager(&mut self, protocol: Protocol, stat_prefix: String, route: Route) -> Filter {
        let speech = Speech { http2: protocol.is_http2(), grpc_web: protocol == Protocol::GrpcWeb };
        let (defaults, authz) = (self.defaults, self.authz);
        let common = self.managers.entry(speech).or_insert_with(|| {
            let mut manager = Manager::new(&defaults.http, Side::Inbound);
            manager.http2 = speech.http2;
            manager.grpc_web = speech.grpc_web;
            manager.jwt = defaults.jwt.as_deref();
            manager.authz = Some(&authz.http);
            manager.common()
        });
        common.filter(stat_prefix, route)
    }
}
