//! Route configurations: which request goes to which cluster (RDS).
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go`, `route/`; `shared/spec/xds.md` 5.

pub mod catch_all;
pub mod default_route;
pub mod domains;
pub mod hash_policy;
pub mod http;
pub mod inbound;
pub mod retry;
pub mod session;
pub mod share;
pub mod sidecar;
pub mod substitute;
mod virtual_host;

use std::sync::Arc;

use envoy::config::route::v3::RouteConfiguration;
use model::Ref;

use crate::output::Built;

pub use virtual_host::{Host, Hosted, NamedHost, Routes, VirtualHostKey, build as build_virtual_host};

/// The longest body that a direct response of a route may have, in bytes.
const MAX_DIRECT_RESPONSE: u32 = 1 << 20;

/// All that a route configuration is built from: its head, and the keys of its virtual hosts in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteKey {
    /// Its name.
    pub name: Arc<str>,
    /// Its virtual hosts, sorted by name, the catch-all last.
    pub virtual_hosts: Vec<Ref<VirtualHostKey>>,
}

/// Builds the head of a route configuration: everything but its virtual hosts.
pub fn build_head(key: &RouteKey) -> Built<RouteConfiguration> {
    let message = RouteConfiguration {
        name: key.name.to_string(),
        validate_clusters: Some(false.into()),
        max_direct_response_body_size_bytes: Some(MAX_DIRECT_RESPONSE.into()),
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    };
    Built::new(message, Vec::new())
}

#[cfg(test)]
mod tests;
