//! ProxyConfig (`networking.istio.io`): settings of proxies that take effect at injection or start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MatchLabels;

/// Settings of some proxies. [`crate::mesh_config::ProxyConfig`] is the mesh's wider form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// Worker threads; absent means by the CPU limit, 0 means all cores.
    pub concurrency: Option<i32>,
    /// Environment variables of the proxy, merged into `proxyMetadata`.
    pub environment_variables: BTreeMap<String, String>,
    /// The proxy's image.
    pub image: Option<ProxyImage>,
}

/// The proxy's image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyImage {
    /// Variant: `default`, `debug` or `distroless`.
    pub image_type: String,
}
