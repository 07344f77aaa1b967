//! Selectors of workloads and targets, and the small values that several Istio kinds share.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::scalar::F64;
use crate::schema::{cel, max_length, one_of, required, values};

/// Workloads of the object's namespace that have all these labels (Sidecar, EnvoyFilter, ServiceEntry).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// Labels that must all be there; none selects all.
    #[schemars(extend("maxProperties" = 256), transform = values(max_length(63)), transform = values(label_value))]
    pub labels: BTreeMap<String, String>,
}

/// Workloads of the object's namespace that have all these labels (policies, DestinationRule, ProxyConfig).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchLabels {
    /// Labels that must all be there; none selects all.
    #[schemars(extend("maxProperties" = 4096), transform = label_keys, transform = values(max_length(63)), transform = values(label_value))]
    pub match_labels: BTreeMap<String, String>,
}

/// A resource that a policy attaches to instead of selecting workloads by label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTargetReference {
    /// API group of the target; empty for core.
    #[schemars(
        length(max = 253),
        regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub group: String,
    /// Kind of the target: `Gateway`, `GatewayClass`, `Service` or `ServiceEntry`.
    #[schemars(transform = required, length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
    pub kind: String,
    /// Name of the target.
    #[schemars(transform = required, length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the target; must be empty, which means the policy's own.
    #[schemars(transform = cel("targets are of the own namespace", "self.size() == 0"))]
    pub namespace: String,
}

/// How much of a policy could not be read. Decoding says it; no document does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// All could be read.
    #[default]
    Nothing,
    /// What it says of the workloads that it is for, which are known.
    Content,
    /// Nor can be read which workloads it is for: it may be for any of its namespace.
    Scope,
}

/// How a text is matched; exactly one member is set. A header match with none is a test for presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("exact, prefix, regex"))]
pub struct StringMatch {
    /// Equal to this.
    pub exact: Option<String>,
    /// Starts with this.
    pub prefix: Option<String>,
    /// Matches this RE2 expression as a whole.
    pub regex: Option<String>,
}

/// A port by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    /// The port number.
    pub number: u32,
}

/// A share in percent, with fractions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Percent {
    /// 0.0 to 100.0.
    pub value: F64,
}

/// A port that a Gateway server or a Sidecar listener opens, or that a ServiceEntry has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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

fn label_value(schema: &mut Schema) {
    cel("a label's value has no wildcard", r#"!self.contains("*")"#)(schema);
}

fn label_keys(schema: &mut Schema) {
    cel("a label's key has no wildcard", r#"self.all(key, !key.contains("*"))"#)(schema);
    cel("a label's key is not empty", "self.all(key, key.size() != 0)")(schema);
}
