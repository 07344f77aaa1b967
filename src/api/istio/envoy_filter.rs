//! EnvoyFilter (`networking.istio.io`): patches of what is sent to Envoy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PolicyTargetReference, WorkloadSelector};
use crate::scalar::Json;
use crate::schema::{at_most_one, cel, one_of, port};

/// Patches of what is sent to some proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("workloadSelector, targetRefs"))]
pub struct EnvoyFilter {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub workload_selector: Option<WorkloadSelector>,
    /// Targets instead of a selector.
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// The patches, in order.
    pub config_patches: Vec<EnvoyConfigObjectPatch>,
    /// Lower goes first.
    pub priority: i32,
}

/// One patch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyConfigObjectPatch {
    /// What kind of thing is patched.
    pub apply_to: ApplyTo,
    /// Which of them; absent means all.
    pub r#match: Option<EnvoyConfigObjectMatch>,
    /// What is done.
    pub patch: Option<Patch>,
}

/// What kind of thing is patched.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplyTo {
    /// Nothing; refused.
    #[default]
    Invalid,
    /// Listeners.
    Listener,
    /// Filter chains.
    FilterChain,
    /// Network filters.
    NetworkFilter,
    /// HTTP filters.
    HttpFilter,
    /// Route configurations.
    RouteConfiguration,
    /// Virtual hosts.
    VirtualHost,
    /// Routes.
    HttpRoute,
    /// Clusters.
    Cluster,
    /// Extension configurations (ECDS).
    ExtensionConfig,
    /// The bootstrap.
    Bootstrap,
    /// Listener filters.
    ListenerFilter,
}

/// Which things are patched; at most one of the four members after `proxy` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("listener, routeConfiguration, cluster, waypoint"))]
#[schemars(transform = cel(
    "waypoint goes with the context WAYPOINT, and only with it",
    r#"has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint)) : !has(self.waypoint)"#,
))]
pub struct EnvoyConfigObjectMatch {
    /// For which traffic of the proxy.
    pub context: PatchContext,
    /// For which proxies.
    pub proxy: Option<ProxyMatch>,
    /// Which listeners and what in them.
    pub listener: Option<ListenerMatch>,
    /// Which route configurations and what in them.
    pub route_configuration: Option<RouteConfigurationMatch>,
    /// Which clusters.
    pub cluster: Option<ClusterMatch>,
    /// What in a waypoint.
    pub waypoint: Option<WaypointMatch>,
}

/// For which traffic of the proxy.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchContext {
    /// All.
    #[default]
    Any,
    /// Inbound of sidecars.
    SidecarInbound,
    /// Outbound of sidecars.
    SidecarOutbound,
    /// Gateways.
    Gateway,
    /// Waypoints.
    Waypoint,
}

/// For which proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyMatch {
    /// RE2 expression on the proxy's version.
    pub proxy_version: String,
    /// Node metadata that must be there.
    pub metadata: BTreeMap<String, String>,
}

/// Which listeners and what in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerMatch {
    /// Port; 0 means any.
    pub port_number: u32,
    /// Not acted on by the reference.
    pub port_name: String,
    /// Which filter chain.
    pub filter_chain: Option<FilterChainMatch>,
    /// Which listener filter.
    pub listener_filter: String,
    /// The listener's name; empty means any.
    pub name: String,
}

/// Which filter chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterChainMatch {
    /// Its name; empty means any.
    pub name: String,
    /// A server name of its match.
    pub sni: String,
    /// Transport protocol of its match.
    pub transport_protocol: String,
    /// Application protocols of its match, separated by commas.
    pub application_protocols: String,
    /// Which network filter.
    pub filter: Option<FilterMatch>,
    /// Destination port of its match; 0 means any.
    pub destination_port: u32,
}

/// Which network filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterMatch {
    /// Its name.
    pub name: String,
    /// Which HTTP filter in it.
    pub sub_filter: Option<SubFilterMatch>,
}

/// Which HTTP filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SubFilterMatch {
    /// Its name.
    pub name: String,
}

/// Which route configurations and what in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteConfigurationMatch {
    /// Port; 0 means any.
    pub port_number: u32,
    /// Name of a Gateway server's port.
    pub port_name: String,
    /// Gateway, as `namespace/name`.
    pub gateway: String,
    /// Which virtual host.
    pub vhost: Option<VirtualHostMatch>,
    /// The route configuration's name; empty means any.
    pub name: String,
}

/// Which virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualHostMatch {
    /// Its name; empty means any.
    pub name: String,
    /// Which route.
    pub route: Option<RouteMatch>,
    /// One of its domains.
    pub domain_name: String,
}

/// Which route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMatch {
    /// Its name; empty means any.
    pub name: String,
    /// Its action.
    pub action: RouteAction,
}

/// A route's action.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RouteAction {
    /// Any.
    #[default]
    Any,
    /// Forwards.
    Route,
    /// Redirects.
    Redirect,
    /// Answers.
    DirectResponse,
}

/// Which clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterMatch {
    /// Port of the service; 0 means any.
    pub port_number: u32,
    /// Host of the service.
    pub service: String,
    /// Subset of the service.
    pub subset: String,
    /// The cluster's name.
    pub name: String,
}

/// What in a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WaypointMatch {
    /// Which filter.
    pub filter: Option<FilterMatch>,
    /// Port; 0 means any.
    #[schemars(transform = port)]
    pub port_number: u32,
    /// Which route.
    pub route: Option<WaypointRouteMatch>,
}

/// Which route in a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WaypointRouteMatch {
    /// Its name.
    pub name: String,
}

/// What is done to a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    /// How.
    pub operation: PatchOperation,
    /// With what, as JSON of the patched message.
    pub value: Option<Json>,
    /// Where among Istio's filters an added filter goes.
    pub filter_class: FilterClass,
}

/// How a thing is patched.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchOperation {
    /// Nothing; refused.
    #[default]
    Invalid,
    /// Merged: scalars replaced, lists appended.
    Merge,
    /// Added at the end.
    Add,
    /// Removed.
    Remove,
    /// Added before what matches.
    InsertBefore,
    /// Added after what matches.
    InsertAfter,
    /// Added at the start.
    InsertFirst,
    /// Replaced.
    Replace,
    /// Merged: scalars and lists replaced.
    MergeAndReplaceList,
}

/// Where among Istio's filters an added filter goes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FilterClass {
    /// At the end, before the router.
    #[default]
    Unspecified,
    /// After authentication.
    Authn,
    /// After authorization.
    Authz,
    /// Before statistics.
    Stats,
}
