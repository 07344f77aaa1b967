//! EndpointSlice (discovery.k8s.io/v1).

use serde::{Deserialize, Serialize};

/// Some endpoints of a Service, which the label `kubernetes.io/service-name` names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Family of all addresses: `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Their ports.
    pub ports: Vec<EndpointPort>,
}

/// An endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Its addresses, all of them of the same workload.
    pub addresses: Vec<String>,
    /// Whether it can take traffic.
    pub conditions: EndpointConditions,
    /// Name within a headless Service; empty means none.
    pub hostname: String,
    /// The object behind it.
    pub target_ref: Option<TargetRef>,
    /// Its node; empty when unknown.
    pub node_name: String,
    /// Its zone; empty when unknown.
    pub zone: String,
    /// For which zones and nodes it is meant.
    pub hints: Option<EndpointHints>,
}

/// Whether an endpoint can take traffic. Absent is not false: `ready` absent means ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    /// Ready, and not terminating.
    pub ready: Option<bool>,
    /// Able to serve, even if terminating.
    pub serving: Option<bool>,
    /// Terminating.
    pub terminating: Option<bool>,
}

/// The object behind an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetRef {
    /// Its kind, such as `Pod`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// For which zones and nodes an endpoint is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointHints {
    /// Zones.
    pub for_zones: Vec<NamedHint>,
    /// Nodes.
    pub for_nodes: Vec<NamedHint>,
}

/// A zone or node of a hint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamedHint {
    /// Its name.
    pub name: String,
}

/// A port of all endpoints of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name of the Service's port.
    pub name: String,
    /// The number; absent means all ports.
    pub port: Option<u32>,
    /// `TCP` (the default when empty), `UDP` or `SCTP`.
    pub protocol: String,
    /// The application's protocol; empty means by the name.
    pub app_protocol: String,
}
