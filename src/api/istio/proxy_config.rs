//! ProxyConfig (`networking.istio.io`): settings of proxies that take effect at injection or start.
//! [`crate::mesh_config::ProxyConfig`] is the mesh's wider form.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MatchLabels;
use crate::schema::{max_length, values};

/// Settings of some proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// Worker threads; absent means by the CPU limit, 0 means all cores.
    #[schemars(range(min = 0))]
    pub concurrency: Option<i32>,
    /// Environment variables of the proxy, merged into `proxyMetadata`.
    #[schemars(transform = values(max_length(2048)))]
    pub environment_variables: BTreeMap<String, String>,
    /// The proxy's image.
    pub image: Option<ProxyImage>,
}

/// The proxy's image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyImage {
    /// Variant: `default`, `debug` or `distroless`.
    pub image_type: String,
}
