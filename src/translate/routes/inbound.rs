//! The route configuration inside an inbound HTTP filter chain: everything to the workload's own port.
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go` (`buildSidecarInboundHTTPRouteConfig`); `xds.md` 5.3.

use api::istio::HttpRetry;
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::route_action::{ClusterSpecifier, MaxStreamDuration};
use envoy::config::route::v3::{Decorator, Route, RouteAction, RouteConfiguration, VirtualHost};
use envoy::google::protobuf::Duration;

use super::default_route::everything;
use super::retry;

/// What an inbound route is for.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// The inbound cluster; the configuration bears its name.
    pub cluster: &'a str,
    /// Host of the service, for traces; empty for traffic that is passed through.
    pub host: &'a str,
    /// Port of the service; 0 for traffic that is passed through.
    pub port: u16,
    /// Whether the port speaks gRPC.
    pub grpc: bool,
    /// The mesh's retries of inbound routes, if it says any.
    pub retries: Option<&'a HttpRetry>,
}

/// The inline route configuration of an inbound chain.
pub fn configuration(inbound: Inbound<'_>) -> RouteConfiguration {
    let zero = || Some(Duration::from_secs(0));
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(inbound.cluster.to_owned())),
        timeout: zero(),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: zero(),
            grpc_timeout_header_max: zero(),
            grpc_timeout_header_offset: None,
        }),
        retry_policy: retry::inbound(inbound.grpc, inbound.retries),
        ..RouteAction::default()
    };
    let operation = format!("{}:{}/*", inbound.host, inbound.port);
    let route = Route {
        name: "default".to_owned(),
        r#match: Some(everything()),
        decorator: Some(Decorator { operation, propagate: None }),
        action: Some(Action::Route(action)),
        ..Route::default()
    };
    let host = VirtualHost {
        name: format!("inbound|http|{}", inbound.port),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        ..VirtualHost::default()
    };
    RouteConfiguration {
        name: inbound.cluster.to_owned(),
        virtual_hosts: vec![host],
        validate_clusters: Some(false.into()),
        ..RouteConfiguration::default()
    }
}
