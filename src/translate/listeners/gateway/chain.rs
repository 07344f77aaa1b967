//! Filter chains of a gateway's listener.

use std::sync::Arc;

use api::ObjectRef;
use envoy::config::listener::v3::{FilterChain, FilterChainMatch};

use crate::authz::Filters;
use crate::jwt::Jwt;
use crate::listeners::http::{Manager, Route, Side};
use crate::listeners::outbound::OutboundDefaults;
use crate::listeners::tcp::Forward;
use crate::output::Built;
use crate::tls::server::{ServerTls, Transport};

/// The application protocols of mesh mTLS.
const MESH_PROTOCOLS: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// A filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayChain {
    /// Names in the SNI; empty for any.
    pub server_names: Vec<String>,
    /// Whether the beginning of TLS is looked at, be it that any name may stand there.
    pub inspected: bool,
    /// Only connections of mesh mTLS come here.
    pub mesh_only: bool,
    /// How TLS ends here, if it does.
    pub tls: Option<ServerTls>,
    /// What becomes of connections.
    pub content: Content,
    /// The objects that it came from.
    pub sources: Vec<ObjectRef>,
}

/// What becomes of connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// They carry HTTP.
    Http {
        /// Name of the routes.
        routes: Arc<str>,
        /// Prefix of statistics; empty for that of the listener.
        stat_prefix: String,
        /// gRPC-Web is translated.
        grpc_web: bool,
    },
    /// They are forwarded.
    Tcp(Box<Forward>),
}

impl GatewayChain {
    /// Whether the TLS inspector must run before chains are chosen.
    pub(super) fn needs_tls_inspector(&self) -> bool {
        self.inspected
    }

    /// Whether it carries HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.content, Content::Http { .. })
    }

    /// The chain of a listener with this name.
    pub(super) fn build(
        &self,
        listener: &str,
        transport: Transport,
        jwt: Option<&Jwt>,
        defaults: &OutboundDefaults,
        authz: &Filters,
    ) -> Built<FilterChain> {
        let filters = match &self.content {
            Content::Http { routes, stat_prefix, grpc_web } => {
                let prefix = match stat_prefix.as_str() {
                    "" => format!("outbound_{listener};"),
                    own => own.to_owned(),
                };
                let route = Route::Rds(routes.to_string());
                let mut manager = Manager::new(&defaults.http, Side::Gateway);
                manager.jwt = jwt;
                manager.grpc_web = *grpc_web;
                manager.http3 = transport == Transport::Quic;
                manager.authz = Some(&authz.http);
                vec![manager.filter(prefix, route)]
            }
            // What passes as it came, mesh mTLS of another network, is checked where it ends.
            Content::Tcp(forward) if self.mesh_only => forward.filters(),
            Content::Tcp(forward) => authz.tcp.iter().cloned().chain(forward.filters()).collect(),
        };
        let tls = self.tls.as_ref().map(|tls| tls.build(transport));
        let (transport_socket, problems) = tls.map_or((None, Vec::new()), |(s, p)| (Some(s), p));
        let message = FilterChain {
            filter_chain_match: self.filter_chain_match(),
            filters,
            transport_socket,
            transport_socket_connect_timeout: defaults.connect_timeout(),
            ..FilterChain::default()
        };
        Built { message, sources: self.sources.clone(), problems }
    }

    fn filter_chain_match(&self) -> Option<FilterChainMatch> {
        let protocols: &[&str] = if self.mesh_only { &MESH_PROTOCOLS } else { &[] };
        (!self.server_names.is_empty() || self.mesh_only).then(|| FilterChainMatch {
            server_names: self.server_names.clone(),
            application_protocols: protocols.iter().map(|p| (*p).to_owned()).collect(),
            ..FilterChainMatch::default()
        })
    }
}
