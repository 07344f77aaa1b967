//! Route configurations: which request goes to which cluster (RDS).
//!
//! Source: Istio `pilot/pkg/networking/core/httproute.go`, `route/`; `shared/spec/xds.md` 5.

pub mod sidecar;

use envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use model::Ref;

use crate::output::Built;

/// All that a route configuration is built from: its head, and the keys of its virtual hosts in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteKey {
    /// Its name.
    pub name: String,
    /// Its virtual hosts, sorted by name, the catch-all last.
    pub virtual_hosts: Vec<Ref<VirtualHostKey>>,
}

/// All that a virtual host is built from. Each is encoded once, whatever configurations hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VirtualHostKey {}

/// Builds the head of a route configuration: everything but its virtual hosts.
pub fn build_head(key: &RouteKey) -> Built<RouteConfiguration> {
    let message = RouteConfiguration { name: key.name.clone(), ..RouteConfiguration::default() };
    Built::new(message, Vec::new())
}

/// Builds one virtual host.
pub fn build_virtual_host(key: &VirtualHostKey) -> Built<VirtualHost> {
    match *key {}
}
