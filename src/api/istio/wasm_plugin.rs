//! WasmPlugin (`extensions.istio.io`): WebAssembly in proxies.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{MatchLabels, PolicyTargetReference, PortSelector, WorkloadMode};
use crate::scalar::Json;
use crate::schema::{at_most_one, cel, items, list_map, property, required};

/// A WebAssembly module in some proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("selector, targetRef, targetRefs"))]
pub struct WasmPlugin {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// The target. Deprecated for `targetRefs`.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of a selector.
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Where the module is: `oci://` (the default scheme), `http://`, `https://` or `file://`.
    #[schemars(transform = required, transform = module_url, length(min = 1))]
    pub url: String,
    /// SHA-256 of the module, in hex; empty does not check.
    #[schemars(regex(pattern = "(^$|^[a-f0-9]{64}$)"))]
    pub sha256: String,
    /// When an image is pulled again.
    pub image_pull_policy: PullPolicy,
    /// Secret of the own namespace for pulling.
    #[schemars(length(min = 1, max = 253))]
    pub image_pull_secret: String,
    /// Key that the image must be signed with.
    pub verification_key: String,
    /// Configuration handed to the plugin.
    pub plugin_config: Option<Json>,
    /// Name within the module; also the root ID.
    #[schemars(length(min = 1, max = 256))]
    pub plugin_name: String,
    /// Where among Istio's filters it goes.
    pub phase: PluginPhase,
    /// Within a phase, higher goes first; absent means 0.
    pub priority: Option<i32>,
    /// What happens when the module cannot be had.
    pub fail_strategy: FailStrategy,
    /// Settings of the virtual machine.
    pub vm_config: Option<VmConfig>,
    /// Traffic that it looks at; any must match, empty matches all.
    pub r#match: Vec<TrafficSelector>,
    /// HTTP or network.
    pub r#type: PluginType,
}

/// Where among Istio's filters a plugin goes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PluginPhase {
    /// At the end, before the router.
    #[default]
    UnspecifiedPhase,
    /// Before authentication.
    Authn,
    /// Before authorization, after authentication.
    Authz,
    /// Before statistics, after authorization.
    Stats,
}

/// Kinds of plugins.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PluginType {
    /// As `HTTP`.
    #[default]
    UnspecifiedPluginType,
    /// HTTP filter.
    Http,
    /// Network filter.
    Network,
}

/// When an image is pulled again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum PullPolicy {
    /// Always with the tag `latest`, else when absent.
    #[default]
    #[serde(rename = "UNSPECIFIED_POLICY")]
    Unspecified,
    /// When absent.
    IfNotPresent,
    /// Always.
    Always,
}

/// What happens when a module cannot be had or fails.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailStrategy {
    /// Requests are refused.
    #[default]
    FailClose,
    /// Requests pass.
    FailOpen,
    /// The module is started again.
    FailReload,
}

/// Settings of the virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VmConfig {
    /// Environment variables.
    #[schemars(length(max = 256), transform = list_map("name"))]
    pub env: Vec<EnvVar>,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(
    "the value stands here only when valueFrom is INLINE",
    r#"(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)"#,
))]
pub struct EnvVar {
    /// Its name.
    #[schemars(transform = required, length(min = 1, max = 256))]
    pub name: String,
    /// Where its value is from.
    pub value_from: EnvValueSource,
    /// The value (INLINE only).
    #[schemars(length(max = 2048))]
    pub value: String,
}

/// Where an environment variable's value is from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnvValueSource {
    /// Given here.
    #[default]
    Inline,
    /// The proxy's own variable of the same name.
    Host,
}

/// Traffic that a plugin looks at; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficSelector {
    /// The side.
    pub mode: WorkloadMode,
    /// Ports; empty means all.
    #[schemars(transform = list_map("number"), transform = items(property("number", port_number)))]
    pub ports: Vec<PortSelector>,
}

/// A module's URL has one of the schemes that modules are fetched by, or none.
pub(super) fn module_url(schema: &mut Schema) {
    cel(
        "the URL's scheme is http, https, file, oci or left out",
        r#"isURL(self) ? (url(self).getScheme() in ["", "http", "https", "oci", "file"]) : (isURL("http://" + self) && url("http://" + self).getScheme() in ["", "http", "https", "oci", "file"])"#,
    )(schema);
}

fn port_number(schema: &mut Schema) {
    required(schema);
    schema.insert("minimum".to_owned(), 1.into());
    schema.insert("maximum".to_owned(), 65535.into());
}
