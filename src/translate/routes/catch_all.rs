//! The last virtual host of a sidecar's route configurations: requests for hosts that nobody knows.
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go` (`buildCatchAllVirtualHost`); `shared/spec/xds.md` 5.2, 6.

use std::sync::Arc;

use api::ObjectRef;
use api::istio::{Destination, OutboundTrafficPolicyMode};
use api::mesh_config::OutboundMode;
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy::config::route::v3::{DirectResponseAction, Route, RouteAction, VirtualHost};
use model::hostname;

use super::default_route::{everything, unlimited};
use crate::context::Context;
use crate::output::Built;

/// What becomes of requests for unknown hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// They pass, to the address that the client asked for.
    Pass,
    /// They pass, to the address that their host resolves to.
    PassByName,
    /// They go to this cluster.
    Proxy(Arc<str>),
    /// They are answered with 502.
    Refuse,
}

/// All that the catch-all virtual host is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatchAll {
    /// What it does.
    pub unknown: Unknown,
    /// Whether requests tell how often they were tried.
    pub attempt_count: bool,
    /// Whether requests tell the host that they were for.
    pub forwarded_host: bool,
    /// The Sidecar that decides, if one does.
    pub sidecar: Option<ObjectRef>,
}

/// Decides for a class. A Sidecar that has a policy replaces the mesh's as a whole.
pub fn plan(context: &Context<'_>, attempt_count: bool) -> CatchAll {
    let sidecar = context.scope.sidecar.as_ref();
    let headers = context.view.proxy_config.proxy_headers.as_ref();
    let forwarded_host =
        headers.and_then(|h| h.x_forwarded_host.as_ref()).and_then(|h| h.enabled) == Some(true);
    let own = sidecar.and_then(|s| Some((s, s.spec.outbound_traffic_policy.as_ref()?)));
    let Some((sidecar, policy)) = own else {
        let unknown = match context.settings().mesh.outbound_traffic_policy.mode {
            OutboundMode::RegistryOnly => Unknown::Refuse,
            OutboundMode::AllowAny => Unknown::Pass,
            OutboundMode::AllowAnyDynamicDns => Unknown::PassByName,
        };
        return CatchAll { unknown, attempt_count, forwarded_host, sidecar: None };
    };
    let unknown = match (policy.mode, &policy.egress_proxy) {
        (OutboundTrafficPolicyMode::RegistryOnly, _) => Unknown::Refuse,
        (OutboundTrafficPolicyMode::AllowAny, Some(proxy)) => {
            // As the reference does, a Sidecar of the root namespace is read as one of the proxy's.
            let namespace = &context.view.namespace;
            Unknown::Proxy(proxy_cluster(proxy, namespace, &context.settings().domain))
        }
        (OutboundTrafficPolicyMode::AllowAny, None) => Unknown::Pass,
    };
    CatchAll { unknown, attempt_count, forwarded_host, sidecar: Some(sidecar.source.clone()) }
}

/// The cluster of an egress proxy. Without a port it is 0, which no cluster has.
fn proxy_cluster(proxy: &Destination, namespace: &str, domain: &str) -> Arc<str> {
    let port = proxy.port.as_ref().map_or(0, |p| p.number);
    let host = hostname::resolve_short(&proxy.host, namespace, domain);
    format!("outbound|{port}|{}|{host}", proxy.subset).into()
}

/// Builds the virtual host.
pub fn build(key: &CatchAll) -> Built<VirtualHost> {
    let to = |cluster: &str| {
        Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
            append_x_forwarded_host: key.forwarded_host,
            ..unlimited()
        })
    };
    let (name, action) = match &key.unknown {
        Unknown::Pass => ("allow_any", to("PassthroughCluster")),
        Unknown::PassByName => ("allow_any_dynamic_dns", to("AllowAnyDynamicDNSCluster")),
        Unknown::Proxy(cluster) => ("allow_any", to(cluster)),
        Unknown::Refuse => {
            let answer = DirectResponseAction { status: 502, ..DirectResponseAction::default() };
            ("block_all", Action::DirectResponse(answer))
        }
    };
    let route = Route {
        name: name.to_owned(),
        r#match: Some(everything()),
        action: Some(action),
        ..Route::default()
    };
    let message = VirtualHost {
        name: name.to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        include_request_attempt_count: key.attempt_count,
        ..VirtualHost::default()
    };
    Built::new(message, key.sidecar.iter().cloned().collect())
}
