//! Connection pools: limits and times of connections to endpoints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Duration;
use crate::schema::any_span;

/// Limits and times of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionPoolSettings {
    /// For TCP, and HTTP above it.
    pub tcp: Option<TcpSettings>,
    /// For HTTP.
    pub http: Option<HttpSettings>,
}

/// Limits and times of TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpSettings {
    /// Most connections; 0 means 2^32-1.
    pub max_connections: i32,
    /// Time to connect; absent means the mesh's `connectTimeout`.
    pub connect_timeout: Option<Duration>,
    /// Probing of idle connections; absent means the mesh's.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Longest life of a connection; absent means for ever.
    pub max_connection_duration: Option<Duration>,
    /// Time without data after which a TCP connection is closed; absent means one hour, zero never.
    #[schemars(transform = any_span)]
    pub idle_timeout: Option<Duration>,
}

/// Probing of idle TCP connections (`SO_KEEPALIVE`). What is not given follows the operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    /// Probes without answer after which a connection is dead; 0 means the system's value.
    pub probes: u32,
    /// Time without data before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
}

/// Limits and times of HTTP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    /// Most requests that wait for a connection; 0 means 2^32-1.
    pub http1_max_pending_requests: i32,
    /// Most active requests; 0 means 2^32-1.
    pub http2_max_requests: i32,
    /// Most requests of one connection; 0 means no limit, 1 turns keep-alive off.
    pub max_requests_per_connection: i32,
    /// Most retries under way; 0 means 2^32-1.
    pub max_retries: i32,
    /// Time without active requests after which a connection is closed; absent means one hour.
    pub idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 is upgraded to HTTP/2.
    pub h2_upgrade_policy: H2UpgradePolicy,
    /// Use the protocol that the client used; turns `h2UpgradePolicy` off.
    pub use_client_protocol: bool,
    /// Most concurrent streams of an HTTP/2 connection; 0 means 2^31-1.
    pub max_concurrent_streams: i32,
    /// Probing of HTTP/2 connections by PING.
    pub http2_keep_alive: Option<Http2KeepAlive>,
}

/// Probing of HTTP/2 connections by PING.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2KeepAlive {
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Time in which a probe must be answered.
    pub timeout: Option<Duration>,
}

/// Whether HTTP/1.1 is upgraded to HTTP/2.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2UpgradePolicy {
    /// As the mesh says.
    #[default]
    Default,
    /// No.
    DoNotUpgrade,
    /// Yes.
    Upgrade,
}
