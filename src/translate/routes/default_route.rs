//! The route of a service that no VirtualService speaks of: everything to the port that was asked for.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`BuildDefaultHTTPOutboundRoute`); `xds.md` 5.3.

use std::sync::Arc;

use api::istio::HttpRetry;
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::config::route::v3::{Decorator, Route, RouteAction, RouteMatch};
use envoy::google::protobuf::Duration;
use model::Ref;

use super::hash_policy::{self, Hashing};
use super::retry;

/// All that the default route of a service port is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DefaultRoute {
    /// Host of the service.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// The mesh's retry policy, if it sets one.
    pub retries: Option<Ref<HttpRetry>>,
    /// What requests are hashed by, if they are.
    pub hashing: Option<Ref<Hashing>>,
}

/// A match of every request.
pub(crate) fn everything() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() }
}

/// An action without a time limit.
pub(super) fn unlimited() -> RouteAction {
    RouteAction {
        timeout: Some(Duration::from_secs(0)),
        max_grpc_timeout: Some(Duration::from_secs(0)),
        ..RouteAction::default()
    }
}

/// Builds the route.
pub fn build(key: &DefaultRoute) -> Route {
    let hash_policy: Vec<_> = key.hashing.as_deref().and_then(hash_policy::build).into_iter().collect();
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(format!("outbound|{}||{}", key.port, key.host))),
        // As in the reference, only routes of VirtualServices stay with the host that the hash chooses.
        retry_policy: retry::policy(key.retries.as_deref(), false),
        hash_policy,
        ..unlimited()
    };
    Route {
        name: "default".to_owned(),
        r#match: Some(everything()),
        decorator: Some(Decorator { operation: format!("{}:{}/*", key.host, key.port), propagate: None }),
        action: Some(Action::Route(action)),
        ..Route::default()
    }
}
