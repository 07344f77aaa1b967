//! Providers of access logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Json;

/// Access logs to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyFileAccessLogProvider {
    /// The file.
    pub path: String,
    /// Format of an entry; absent means Istio's.
    pub log_format: Option<LogFormat>,
    /// Leave members without value out of JSON entries.
    pub omit_empty_values: bool,
}

/// Format of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogFormat {
    /// As text with command operators.
    pub text: Option<String>,
    /// As members of an object whose values have command operators.
    pub labels: Option<Json>,
}

/// Access logs of HTTP over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyHttpAlsProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Name of the log; empty means `http_envoy_accesslog`.
    pub log_name: String,
    /// Filter state that is logged.
    pub filter_state_objects_to_log: Vec<String>,
    /// Request headers that are logged.
    pub additional_request_headers_to_log: Vec<String>,
    /// Response headers that are logged.
    pub additional_response_headers_to_log: Vec<String>,
    /// Response trailers that are logged.
    pub additional_response_trailers_to_log: Vec<String>,
}

/// Access logs of TCP over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyTcpAlsProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Name of the log; empty means `tcp_envoy_accesslog`.
    pub log_name: String,
    /// Filter state that is logged.
    pub filter_state_objects_to_log: Vec<String>,
}

/// Access logs by OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyOtelAlsProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Name of the log; empty means `otel_envoy_accesslog`.
    pub log_name: String,
    /// Body and attributes of an entry; absent means Istio's text.
    pub log_format: Option<LogFormat>,
}
