//! PeerAuthentication (`security.istio.io`): whether inbound traffic must be mutual TLS.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{MatchLabels, Unread};
use crate::schema::cel;

/// Whether inbound traffic must be mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(
    "portLevelMtls needs a selector",
    "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? \
     self.selector.matchLabels : {}).size() > 0) : true",
))]
pub struct PeerAuthentication {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// For all ports; absent means inherited.
    pub mtls: Option<MutualTls>,
    /// For single ports of the workload; counts only with a selector.
    #[schemars(with = "BTreeMap<String, MutualTls>", extend("minProperties" = 1), transform = port_keys)]
    pub port_level_mtls: BTreeMap<u32, MutualTls>,
    /// What decoding could not read: not [`Unread::Nothing`] in what stands in for a policy.
    #[serde(skip)]
    pub unread: Unread,
}

/// The mode of mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    /// The mode.
    pub mode: MutualTlsMode,
}

/// Modes of mutual TLS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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

fn port_keys(schema: &mut Schema) {
    cel("a port is from 1 to 65535", "self.all(key, 0 < int(key) && int(key) <= 65535)")(schema);
}
