//! Kinds that only hold data or labels: Namespace, Node, Secret, ConfigMap, ServiceAccount (core/v1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scalar::{Base64, SecretBytes, SecretText};

/// A namespace: all that is read is in its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespace {}

/// A node: labels (region, zone) are in its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// The document's `status`.
    pub status: NodeStatus,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Its addresses.
    pub addresses: Vec<NodeAddress>,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname` and the like.
    pub r#type: String,
    /// The address.
    pub address: String,
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// What it is for, such as `kubernetes.io/tls`.
    pub r#type: String,
    /// The content by key; `stringData` of a document is in here too.
    pub data: BTreeMap<String, SecretBytes>,
    /// Content given as text, which takes the place of `data` under the same key; empty after decoding.
    pub string_data: BTreeMap<String, SecretText>,
}

impl Secret {
    /// Moves `stringData` into `data`, as the API server does when it stores a Secret.
    pub(crate) fn absorb_string_data(&mut self) {
        for (key, text) in std::mem::take(&mut self.string_data) {
            self.data.insert(key, text.into());
        }
    }
}

/// A ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Texts by key.
    pub data: BTreeMap<String, String>,
    /// Bytes by key.
    pub binary_data: BTreeMap<String, Base64>,
}

/// A service account: all that is read is in its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {}
