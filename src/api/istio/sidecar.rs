//! Sidecar (`networking.istio.io`): what sidecars of a namespace accept and what they see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConnectionPoolSettings, Destination, Port, ServerTlsSettings, WorkloadSelector};
use crate::schema::required;

/// What some sidecars accept and see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    /// Workloads; absent means all of the namespace.
    pub workload_selector: Option<WorkloadSelector>,
    /// Ports for inbound traffic; empty means those of the workload's services.
    pub ingress: Vec<IstioIngressListener>,
    /// Ports for outbound traffic and the hosts seen there; empty means all services.
    pub egress: Vec<IstioEgressListener>,
    /// Limits of inbound connections.
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// What becomes of traffic to unknown hosts; absent means as the mesh says.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

/// A port for inbound traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioIngressListener {
    /// The port and its protocol.
    #[schemars(transform = required)]
    pub port: Option<Port>,
    /// Address to bind to; empty means derived.
    pub bind: String,
    /// How traffic reaches the port.
    pub capture_mode: CaptureMode,
    /// Where the workload listens: `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT`, `[::]:PORT` or `unix://PATH`.
    pub default_endpoint: String,
    /// TLS of the port.
    pub tls: Option<ServerTlsSettings>,
    /// Limits of connections to the workload; absent means `inboundConnectionPool`.
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// A port for outbound traffic, or all of them, and the hosts seen there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioEgressListener {
    /// The port; absent means every port of the hosts.
    pub port: Option<Port>,
    /// Address or unix socket to bind to; empty means derived.
    pub bind: String,
    /// How traffic reaches the port.
    pub capture_mode: CaptureMode,
    /// Hosts seen, as `namespace/host`; namespaces may be `*`, `.` and `~`.
    #[schemars(transform = required)]
    pub hosts: Vec<String>,
}

/// How traffic reaches a port.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaptureMode {
    /// As the environment has it.
    #[default]
    Default,
    /// Redirected by iptables.
    Iptables,
    /// The application connects to it.
    None,
}

/// What becomes of traffic to unknown hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// Let pass or not.
    pub mode: OutboundTrafficPolicyMode,
    /// A gateway that gets such traffic.
    pub egress_proxy: Option<Destination>,
}

/// Whether traffic to unknown hosts passes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundTrafficPolicyMode {
    /// It does not.
    #[default]
    RegistryOnly,
    /// It does.
    AllowAny,
}
