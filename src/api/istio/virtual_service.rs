//! VirtualService (`networking.istio.io`): routes of TCP and TLS, and what holds the HTTP routes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpRoute, PortSelector};
use crate::schema::required;

/// How requests to some hosts are routed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualService {
    /// Hosts that the rules are for: names, short names (of the object's namespace), `*.` wildcards, IP addresses.
    /// Empty only for delegates.
    pub hosts: Vec<String>,
    /// Gateways that apply the rules, as `name` or `namespace/name`; `mesh` stands for all sidecars. Empty means
    /// `mesh`.
    pub gateways: Vec<String>,
    /// Rules for HTTP, the first that matches is taken.
    pub http: Vec<HttpRoute>,
    /// Rules for TLS that is passed through, by SNI.
    pub tls: Vec<TlsRoute>,
    /// Rules for opaque TCP.
    pub tcp: Vec<TcpRoute>,
    /// Namespaces that see the object: names, `.` (own), `*` (all), `~` (none). Empty means the mesh's default.
    pub export_to: Vec<String>,
}

/// A rule for TLS connections that are not terminated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Any of these must match.
    #[schemars(transform = required)]
    pub r#match: Vec<TlsMatchAttributes>,
    /// Where matching connections go.
    pub route: Vec<RouteDestination>,
}

/// What a TLS connection must be like; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsMatchAttributes {
    /// Names in the SNI; a subset of the VirtualService's hosts.
    #[schemars(transform = required)]
    pub sni_hosts: Vec<String>,
    /// Destination addresses, with an optional prefix length.
    pub destination_subnets: Vec<String>,
    /// Port of the service; 0 means any.
    pub port: u32,
    /// Labels that the client's workload must have.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways to which the match is limited; empty means those of the VirtualService.
    pub gateways: Vec<String>,
    /// Namespace that the client's workload must be in; empty means any.
    pub source_namespace: String,
}

/// A rule for opaque TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Any of these must match; empty matches all.
    pub r#match: Vec<L4MatchAttributes>,
    /// Where matching connections go.
    pub route: Vec<RouteDestination>,
}

/// What a TCP connection must be like; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct L4MatchAttributes {
    /// Destination addresses, with an optional prefix length.
    pub destination_subnets: Vec<String>,
    /// Port of the service; 0 means any.
    pub port: u32,
    /// Source address with an optional prefix length. Deprecated, not acted on by the reference.
    pub source_subnet: String,
    /// Labels that the client's workload must have.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways to which the match is limited; empty means those of the VirtualService.
    pub gateways: Vec<String>,
    /// Namespace that the client's workload must be in; empty means any.
    pub source_namespace: String,
}

/// One of the destinations of a TCP or TLS rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteDestination {
    /// Where to.
    #[schemars(transform = required)]
    pub destination: Destination,
    /// Its share of the sum of weights; a single destination needs none.
    pub weight: i32,
}

/// A service, perhaps a subset of it, on a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// Host in the service registry; a short name is of the object's namespace.
    #[schemars(transform = required)]
    pub host: String,
    /// Name of a subset in the host's DestinationRule; empty means all of the service.
    pub subset: String,
    /// Port of the service; may be absent when the service has one port only, or follows the port of the request.
    pub port: Option<PortSelector>,
}
