//! Kinds of the Gateway API (`gateway.networking.k8s.io`), as far as they are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which objects of other namespaces may refer to objects of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReferenceGrant {
    /// Who may refer.
    pub from: Vec<ReferenceGrantFrom>,
    /// To what.
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects of a kind in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReferenceGrantFrom {
    /// Their group; empty for the core.
    pub group: String,
    /// Their kind.
    pub kind: String,
    /// Their namespace.
    pub namespace: String,
}

/// Objects of a kind in the grant's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReferenceGrantTo {
    /// Their group; empty for the core.
    pub group: String,
    /// Their kind.
    pub kind: String,
    /// One of them; all if there is no name.
    pub name: Option<String>,
}
