//! TrafficExtension (`extensions.istio.io`): WebAssembly or Lua in proxies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wasm_plugin::module_url;
use super::{
    FailStrategy, MatchLabels, PluginType, PolicyTargetReference, PullPolicy, TrafficSelector, VmConfig,
};
use crate::scalar::Json;
use crate::schema::{at_most_one, cel, one_of, required};

/// A filter of one's own in some proxies; exactly one of `wasm` and `lua` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("selector, targetRefs"))]
#[schemars(transform = one_of("wasm, lua"))]
#[schemars(transform = cel("exactly one of wasm and lua is set", "has(self.wasm) != has(self.lua)"))]
pub struct TrafficExtension {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// Targets instead of a selector.
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Where among Istio's filters it goes.
    pub phase: ExecutionPhase,
    /// Within a phase, higher goes first; absent means 0.
    pub priority: Option<i32>,
    /// Traffic that it looks at; any must match, empty matches all.
    pub r#match: Vec<TrafficSelector>,
    /// WebAssembly.
    pub wasm: Option<WasmConfig>,
    /// Lua.
    pub lua: Option<LuaConfig>,
}

/// Where among Istio's filters an extension goes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionPhase {
    /// At the end, before the router.
    #[default]
    Unspecified,
    /// Before authentication.
    Authn,
    /// Before authorization, after authentication.
    Authz,
    /// Before statistics, after authorization.
    Stats,
}

/// A WebAssembly module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WasmConfig {
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
    /// What happens when the module cannot be had.
    pub fail_strategy: FailStrategy,
    /// Settings of the virtual machine.
    pub vm_config: Option<VmConfig>,
    /// HTTP or network.
    pub r#type: PluginType,
}

/// A Lua script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LuaConfig {
    /// The script.
    #[schemars(transform = required, length(min = 1, max = 65536))]
    pub inline_code: String,
}
