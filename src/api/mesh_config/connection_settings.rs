//! Limits and times of downstream connections, as `ProxyConfig` sets them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Duration;

/// Limits and times of downstream connections. What is absent is as the profile has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionSettings {
    /// A set of defaults.
    pub profile: ConnectionProfile,
    /// Buffer of a listener's connection, in bytes.
    pub listener_per_connection_buffer_limit_bytes: Option<i32>,
    /// Buffer of a cluster's connection, in bytes.
    pub cluster_per_connection_buffer_limit_bytes: Option<i32>,
    /// Time without requests after which an HTTP connection is closed.
    pub http_idle_timeout: Option<Duration>,
    /// Longest life of an HTTP connection.
    pub http_max_connection_duration: Option<Duration>,
    /// Time to drain an HTTP connection.
    pub http_drain_timeout: Option<Duration>,
    /// Time to receive a request.
    pub http_request_timeout: Option<Duration>,
    /// Time to receive a request's headers.
    pub http_request_headers_timeout: Option<Duration>,
    /// Time without data after which a stream is closed.
    pub http_stream_idle_timeout: Option<Duration>,
    /// Longest life of a stream.
    pub http_max_stream_duration: Option<Duration>,
    /// Most streams of a connection.
    pub http_max_concurrent_streams: Option<i32>,
    /// Flow control window of a stream, in bytes.
    pub http2_initial_stream_window_size: Option<i32>,
    /// Flow control window of a connection, in bytes.
    pub http2_initial_connection_window_size: Option<i32>,
    /// What becomes of headers with underscores.
    pub http_headers_with_underscores_action: HeadersWithUnderscoresAction,
    /// Whether runs of slashes in paths are made one.
    pub http_merge_slashes: Option<bool>,
    /// What becomes of escaped slashes in paths.
    pub http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction,
    /// Most connections of a listener.
    pub listener_connection_limit: Option<i32>,
    /// Most connections of the proxy.
    pub global_downstream_connection_limit: Option<i32>,
}

/// Sets of defaults.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionProfile {
    /// Among trusted peers.
    #[default]
    Sidecar,
    /// At the edge of the Internet.
    Edge,
}

/// What becomes of headers with underscores.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HeadersWithUnderscoresAction {
    /// As the profile has it.
    #[default]
    HeadersWithUnderscoresUnspecified,
    /// They pass.
    HeadersWithUnderscoresAllow,
    /// The request is refused.
    HeadersWithUnderscoresRejectRequest,
    /// They are dropped.
    HeadersWithUnderscoresDropHeader,
}

/// What becomes of escaped slashes in paths.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PathWithEscapedSlashesAction {
    /// As the profile has it.
    #[default]
    PathWithEscapedSlashesUnspecified,
    /// They stay.
    KeepUnchanged,
    /// The request is refused.
    RejectRequest,
    /// The client is redirected to the plain path.
    UnescapeAndRedirect,
    /// They are made plain.
    UnescapeAndForward,
}
