//! Selectors of workloads and targets, and the small values that several Istio kinds share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scalar::F64;

/// Workloads of the object's namespace that have all these labels (Sidecar, EnvoyFilter, ServiceEntry).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// Labels that must all be there; none selects all.
    pub labels: BTreeMap<String, String>,
}

/// Workloads of the object's namespace that have all these labels (policies, DestinationRule, ProxyConfig).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchLabels {
    /// Labels that must all be there; none selects all.
    pub match_labels: BTreeMap<String, String>,
}

/// A resource that a policy attaches to instead of selecting workloads by label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTargetReference {
    /// API group of the target; empty for core.
    pub group: String,
    /// Kind of the target: `Gateway`, `GatewayClass`, `Service` or `ServiceEntry`.
    pub kind: String,
    /// Name of the target.
    pub name: String,
    /// Namespace of the target; must be empty, which means the policy's own.
    pub namespace: String,
}

/// How a text is matched; exactly one member is set. A header match with none is a test for presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StringMatch {
    /// Equal to this.
    pub exact: Option<String>,
    /// Starts with this.
    pub prefix: Option<String>,
    /// Matches this RE2 expression as a whole.
    pub regex: Option<String>,
}

/// A port by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    /// The port number.
    pub number: u32,
}

/// A share in percent, with fractions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Percent {
    /// 0.0 to 100.0.
    pub value: F64,
}

/// A port that a Gateway server or a Sidecar listener opens, or that a ServiceEntry has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// The port number.
    pub number: u32,
    /// Protocol: HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP, TLS and the like.
    pub protocol: String,
    /// A label for the port.
    pub name: String,
    /// The port at the endpoint; 0 means `number`.
    pub target_port: u32,
}

/// Which workload a patch or plugin looks at, by the direction of its traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkloadMode {
    /// Not said: both directions.
    #[default]
    Undefined,
    /// Outbound of a sidecar.
    Client,
    /// Inbound of a sidecar, and gateways.
    Server,
    /// Both directions.
    ClientAndServer,
}
