//! WorkloadEntry and WorkloadGroup (`networking.istio.io`): workloads that are not pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A workload that is not a pod; also an endpoint of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// IP address, host name (of DNS services only) or `unix://` path; may be empty when `network` is set.
    pub address: String,
    /// Port numbers by port name of the service.
    pub ports: BTreeMap<String, u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Network; empty means found by address.
    pub network: String,
    /// `region/zone/subzone`.
    pub locality: String,
    /// Share of traffic among the endpoints; 0 means 1.
    pub weight: u32,
    /// Service account, which gives the workload its identity.
    pub service_account: String,
    /// The document's `status`, not part of its `spec`; always empty in a ServiceEntry.
    #[serde(skip_serializing_if = "WorkloadEntryStatus::is_empty")]
    pub status: WorkloadEntryStatus,
}

/// What the control plane wrote about a WorkloadEntry, as far as it reads it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroup {
    /// Metadata of the entries.
    pub metadata: Option<WorkloadGroupMetadata>,
    /// Specification of the entries.
    pub template: Option<WorkloadEntry>,
    /// How the workload's health is found.
    pub probe: Option<ReadinessProbe>,
}

/// Metadata of the entries that a WorkloadGroup makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroupMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// How a workload's health is found; exactly one method is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessProbe {
    /// Seconds before the first probe.
    pub initial_delay_seconds: i32,
    /// Seconds for one probe; 0 means 1.
    pub timeout_seconds: i32,
    /// Seconds between probes; 0 means 10.
    pub period_seconds: i32,
    /// Successes in a row that make healthy; 0 means 1.
    pub success_threshold: i32,
    /// Failures in a row that make unhealthy; 0 means 3.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHealthCheck {
    /// Path.
    pub path: String,
    /// Port.
    pub port: u32,
    /// Host; empty means the workload itself.
    pub host: String,
    /// `HTTP` (the default when empty) or `HTTPS`.
    pub scheme: String,
    /// Further headers.
    pub http_headers: Vec<ProbeHeader>,
}

/// A header of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeHeader {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A probe by a TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpHealthCheck {
    /// Host; empty means the workload itself.
    pub host: String,
    /// Port.
    pub port: u32,
}

/// A probe by a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecHealthCheck {
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// A probe by gRPC's health protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcHealthCheck {
    /// Port.
    pub port: u32,
    /// Service name to ask for; empty means the server as a whole.
    pub service: String,
}
