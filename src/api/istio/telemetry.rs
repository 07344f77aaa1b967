//! Telemetry (`telemetry.istio.io`): traces, metrics and access logs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MatchLabels, PolicyTargetReference};
use crate::scalar::{Duration, F64};
use crate::schema::{at_most_one, cel, one_of, required};

/// Traces, metrics and access logs of some workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("selector, targetRef, targetRefs"))]
pub struct Telemetry {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// The target. Deprecated for `targetRefs`.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of a selector.
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Traces.
    pub tracing: Vec<Tracing>,
    /// Metrics.
    pub metrics: Vec<Metrics>,
    /// Access logs.
    pub access_logging: Vec<AccessLogging>,
}

/// The side of the traffic.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TelemetryMode {
    /// Both.
    #[default]
    ClientAndServer,
    /// Outbound.
    Client,
    /// Inbound.
    Server,
}

/// A provider by its name among the mesh's `extensionProviders`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderRef {
    /// The name.
    #[schemars(transform = required, length(min = 1))]
    pub name: String,
}

/// Traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// To which traffic this is limited.
    pub r#match: Option<TracingSelector>,
    /// Where traces go, at most one; empty means inherited.
    pub providers: Vec<ProviderRef>,
    /// Share of requests that are sampled when nobody decided before; absent means inherited.
    #[schemars(range(min = 0, max = 100))]
    pub random_sampling_percentage: Option<F64>,
    /// Report no spans; context is still passed on.
    pub disable_span_reporting: Option<bool>,
    /// Do not pass context on.
    pub disable_context_propagation: Option<bool>,
    /// Tags by name.
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// Derive sampling from the request ID; absent means yes.
    pub use_request_id_for_trace_sampling: Option<bool>,
    /// Add Istio's own tags; absent means yes.
    pub enable_istio_tags: Option<bool>,
}

/// To which traffic traces are limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSelector {
    /// The side.
    pub mode: TelemetryMode,
}

/// Where a tag's value comes from; exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("literal, environment, header, formatter"))]
pub struct CustomTag {
    /// A constant.
    pub literal: Option<LiteralTag>,
    /// An environment variable of the proxy.
    pub environment: Option<EnvironmentTag>,
    /// A request header.
    pub header: Option<HeaderTag>,
    /// A command operator of Envoy's access logs.
    pub formatter: Option<FormatterTag>,
}

/// A constant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LiteralTag {
    /// The value.
    #[schemars(transform = required, length(min = 1))]
    pub value: String,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvironmentTag {
    /// Its name.
    #[schemars(transform = required, length(min = 1))]
    pub name: String,
    /// The value when it is absent.
    pub default_value: String,
}

/// A request header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderTag {
    /// Its name.
    #[schemars(transform = required, length(min = 1))]
    pub name: String,
    /// The value when it is absent.
    pub default_value: String,
}

/// A command operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FormatterTag {
    /// The operator, such as `%REQ(x-id)%`.
    #[schemars(transform = required, length(min = 1))]
    pub value: String,
}

/// Metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Where metrics go; empty means inherited.
    pub providers: Vec<ProviderRef>,
    /// Changes of single metrics, in order.
    pub overrides: Vec<MetricsOverrides>,
    /// Time between reports; absent means 5 s. For TCP only.
    pub reporting_interval: Option<Duration>,
}

/// A change of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsOverrides {
    /// Which metrics; absent means all.
    pub r#match: Option<MetricSelector>,
    /// Turn them off; absent means as inherited.
    pub disabled: Option<bool>,
    /// Changes of tags by name.
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

/// Some metrics. `metric` and `customMetric` exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("metric, customMetric"))]
pub struct MetricSelector {
    /// One of Istio's.
    pub metric: Option<IstioMetric>,
    /// Another by its name.
    #[schemars(length(min = 1))]
    pub custom_metric: Option<String>,
    /// The side.
    pub mode: TelemetryMode,
}

/// Istio's metrics.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IstioMetric {
    /// All of them.
    #[default]
    AllMetrics,
    /// `istio_requests_total`.
    RequestCount,
    /// `istio_request_duration_milliseconds`.
    RequestDuration,
    /// `istio_request_bytes`.
    RequestSize,
    /// `istio_response_bytes`.
    ResponseSize,
    /// `istio_tcp_connections_opened_total`.
    TcpOpenedConnections,
    /// `istio_tcp_connections_closed_total`.
    TcpClosedConnections,
    /// `istio_tcp_sent_bytes_total`.
    TcpSentBytes,
    /// `istio_tcp_received_bytes_total`.
    TcpReceivedBytes,
    /// `istio_request_messages_total`.
    GrpcRequestMessages,
    /// `istio_response_messages_total`.
    GrpcResponseMessages,
}

/// A change of a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(
    "UPSERT needs a value",
    r#"((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true"#,
))]
#[schemars(transform = cel(
    "REMOVE has no value",
    r#"((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true"#,
))]
pub struct TagOverride {
    /// Set or remove.
    pub operation: TagOperation,
    /// The value, an expression over attributes (UPSERT only).
    pub value: String,
}

/// What is done with a tag.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TagOperation {
    /// Added or replaced.
    #[default]
    Upsert,
    /// Left out.
    Remove,
}

/// Access logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLogging {
    /// To which traffic this is limited.
    pub r#match: Option<LogSelector>,
    /// Where logs go; empty means inherited.
    pub providers: Vec<ProviderRef>,
    /// Turn them off; absent means as inherited.
    pub disabled: Option<bool>,
    /// Which requests are logged; absent means all.
    pub filter: Option<LogFilter>,
}

/// To which traffic logs are limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogSelector {
    /// The side.
    pub mode: TelemetryMode,
}

/// Which requests are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogFilter {
    /// A CEL expression over Envoy's attributes.
    pub expression: String,
}
