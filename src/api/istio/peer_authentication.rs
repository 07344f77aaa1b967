//! PeerAuthentication (`security.istio.io`): whether inbound traffic must be mutual TLS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MatchLabels;

/// Whether inbound traffic must be mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerAuthentication {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// For all ports; absent means inherited.
    pub mtls: Option<MutualTls>,
    /// For single ports of the workload; counts only with a selector.
    pub port_level_mtls: BTreeMap<u32, MutualTls>,
}

/// The mode of mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    /// The mode.
    pub mode: MutualTlsMode,
}

/// Modes of mutual TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MutualTlsMode {
    /// Inherited; PERMISSIVE when nothing is said anywhere.
    #[default]
    Unset,
    /// Plain text only.
    Disable,
    /// Plain text and mutual TLS.
    Permissive,
    /// Mutual TLS only.
    Strict,
}
