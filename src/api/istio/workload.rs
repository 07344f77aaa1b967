//! WorkloadEntry and WorkloadGroup (`networking.istio.io`): workloads that are not pods.

use std::collections::BTreeMap;

use crate::schema::{cel, one_of, port, required, values, without_rule};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

const ADDRESS_NEEDED: &str = "an address or a network is needed";

/// A workload that is not a pod; also an endpoint of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(ADDRESS_NEEDED, "has(self.address) || has(self.network)"))]
#[schemars(transform = cel(
    "a unix socket has no ports",
    r#"(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true"#,
))]
pub struct WorkloadEntry {
    /// IP address, host name (of DNS services only) or `unix://` path; may be empty when `network` is set.
    #[schemars(length(max = 256))]
    #[schemars(transform = cel(
        "the path of a unix socket is absolute, or abstract with `@`",
        r#"self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true"#,
    ))]
    #[schemars(transform = cel("a unix socket is no folder", r#"self.startsWith("unix://") ? !self.endsWith("/") : true"#))]
    pub address: String,
    /// Port numbers by port name of the service.
    #[schemars(extend("maxProperties" = 128), transform = port_names, transform = values(port))]
    pub ports: BTreeMap<String, u32>,
    /// Labels.
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
    /// Network; empty means found by address.
    #[schemars(length(max = 2048))]
    pub network: String,
    /// `region/zone/subzone`.
    #[schemars(length(max = 2048))]
    pub locality: String,
    /// Share of traffic among the endpoints; 0 means 1.
    pub weight: u32,
    /// Service account, which gives the workload its identity.
    #[schemars(length(max = 253))]
    pub service_account: String,
    /// The document's `status`, not part of its `spec`; always empty in a ServiceEntry.
    #[serde(skip_serializing_if = "WorkloadEntryStatus::is_empty")]
    #[schemars(skip)]
    pub status: WorkloadEntryStatus,
}

/// What the control plane wrote about a WorkloadEntry, as far as it reads it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntryStatus {
    /// Conditions; `Healthy` says whether the workload passes its probe.
    pub conditions: Vec<WorkloadCondition>,
}

impl WorkloadEntryStatus {
    fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }
}

/// A condition of a WorkloadEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadCondition {
    /// Its type, such as `Healthy`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, for people.
    pub message: String,
}

/// What WorkloadEntries that register themselves are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroup {
    /// Metadata of the entries.
    pub metadata: Option<WorkloadGroupMetadata>,
    /// Specification of the entries.
    #[schemars(transform = required, transform = without_rule(ADDRESS_NEEDED))]
    pub template: Option<WorkloadEntry>,
    /// How the workload's health is found.
    pub probe: Option<ReadinessProbe>,
}

/// Metadata of the entries that a WorkloadGroup makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroupMetadata {
    /// Labels.
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[schemars(extend("maxProperties" = 256))]
    pub annotations: BTreeMap<String, String>,
}

/// How a workload's health is found; exactly one method is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("httpGet, tcpSocket, exec, grpc"))]
pub struct ReadinessProbe {
    /// Seconds before the first probe.
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: i32,
    /// Seconds for one probe; 0 means 1.
    #[schemars(range(min = 0))]
    pub timeout_seconds: i32,
    /// Seconds between probes; 0 means 10.
    #[schemars(range(min = 0))]
    pub period_seconds: i32,
    /// Successes in a row that make healthy; 0 means 1.
    #[schemars(range(min = 0))]
    pub success_threshold: i32,
    /// Failures in a row that make unhealthy; 0 means 3.
    #[schemars(range(min = 0))]
    pub failure_threshold: i32,
    /// By an HTTP request.
    pub http_get: Option<HttpHealthCheck>,
    /// By a TCP connection.
    pub tcp_socket: Option<TcpHealthCheck>,
    /// By a command.
    pub exec: Option<ExecHealthCheck>,
    /// By gRPC's health protocol.
    pub grpc: Option<GrpcHealthCheck>,
}

/// A probe by an HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHealthCheck {
    /// Path.
    pub path: String,
    /// Port.
    #[schemars(transform = required, transform = port)]
    pub port: u32,
    /// Host; empty means the workload itself.
    pub host: String,
    /// `HTTP` (the default when empty) or `HTTPS`.
    #[schemars(transform = cel("the scheme is HTTP or HTTPS", r#"self in ["", "HTTP", "HTTPS"]"#))]
    pub scheme: String,
    /// Further headers.
    pub http_headers: Vec<ProbeHeader>,
}

/// A header of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeHeader {
    /// Name.
    #[schemars(regex(pattern = "^[-_A-Za-z0-9]+$"))]
    pub name: String,
    /// Value.
    pub value: String,
}

/// A probe by a TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpHealthCheck {
    /// Host; empty means the workload itself.
    pub host: String,
    /// Port.
    #[schemars(transform = required, transform = port)]
    pub port: u32,
}

/// A probe by a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecHealthCheck {
    /// The command and its arguments.
    #[schemars(transform = required, inner(length(min = 1)))]
    pub command: Vec<String>,
}

/// A probe by gRPC's health protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcHealthCheck {
    /// Port.
    #[schemars(transform = port)]
    pub port: u32,
    /// Service name to ask for; empty means the server as a whole.
    pub service: String,
}

fn port_names(schema: &mut Schema) {
    cel(
        "a port name is of letters, digits and `-`, below 63 characters",
        r#"self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))"#,
    )(schema);
}
