//! Providers of traces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TraceContext;
use crate::scalar::Duration;

/// Traces to Zipkin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZipkinProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Longest path in a tag; 0 means 256.
    pub max_tag_length: u32,
    /// Use trace IDs of 64 bits.
    #[serde(rename = "enable64bitTraceId")]
    pub enable_64bit_trace_id: bool,
    /// Path of the collector; empty means `/api/v2/spans`.
    pub path: String,
    /// Which headers carry context.
    pub trace_context_option: ZipkinContext,
    /// Time for a report; absent means 5 s.
    pub timeout: Option<Duration>,
    /// Further headers of reports.
    pub headers: Vec<ProviderHeader>,
}

/// Which headers carry context.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ZipkinContext {
    /// B3.
    #[default]
    #[serde(rename = "USE_B3")]
    B3,
    /// B3 and W3C's.
    #[serde(rename = "USE_B3_WITH_W3C_PROPAGATION")]
    B3WithW3c,
}

/// Traces to Lightstep. Deprecated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LightstepProvider {
    /// Host of the service.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Token.
    pub access_token: String,
    /// Longest path in a tag; 0 means 256.
    pub max_tag_length: u32,
}

/// Traces to Datadog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatadogProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Longest path in a tag; 0 means 256.
    pub max_tag_length: u32,
}

/// Traces to SkyWalking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SkyWalkingProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Token.
    pub access_token: String,
}

/// Traces, metrics and logs to Stackdriver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StackdriverProvider {
    /// Deprecated.
    pub debug: bool,
    /// Deprecated.
    pub max_number_of_attributes: Option<i64>,
    /// Deprecated.
    pub max_number_of_annotations: Option<i64>,
    /// Deprecated.
    pub max_number_of_message_events: Option<i64>,
    /// Longest path in a tag; 0 means 256.
    pub max_tag_length: u32,
    /// Labels of log entries.
    pub logging: Option<StackdriverLogging>,
}

/// Labels of log entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StackdriverLogging {
    /// CEL expressions by label.
    pub labels: BTreeMap<String, String>,
}

/// Traces to OpenCensus. Deprecated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenCensusProvider {
    /// Host of the service.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Which headers carry context.
    pub context: Vec<TraceContext>,
    /// Longest path in a tag; 0 means 256.
    pub max_tag_length: u32,
}

/// Traces by OpenTelemetry, over gRPC unless `http` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenTelemetryProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Longest path in a tag; 0 means 256.
    pub max_tag_length: u32,
    /// Report over HTTP.
    pub http: Option<ProviderHttpService>,
    /// Settings of reports over gRPC; excludes `http`.
    pub grpc: Option<ProviderGrpcService>,
    /// What attributes of the resource are found out.
    pub resource_detectors: Option<ResourceDetectors>,
    /// Which attributes name the service.
    pub service_attribute_enrichment: ServiceAttributeEnrichment,
    /// Dynatrace's sampler.
    pub dynatrace_sampler: Option<DynatraceSampler>,
}

/// Which attributes name the service.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceAttributeEnrichment {
    /// Istio's.
    #[default]
    IstioCanonical,
    /// OpenTelemetry's.
    OtelSemanticConventions,
}

/// Reports over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderHttpService {
    /// The path.
    pub path: String,
    /// Time for a report; absent means none.
    pub timeout: Option<Duration>,
    /// Further headers.
    pub headers: Vec<ProviderHeader>,
}

/// Reports over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderGrpcService {
    /// Time for a report; absent means none.
    pub timeout: Option<Duration>,
    /// Metadata.
    pub initial_metadata: Vec<ProviderHeader>,
}

/// A header of reports; one of `value` and `env_name` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
    /// The environment variable of the proxy that holds its value.
    pub env_name: Option<String>,
}

/// What attributes of the resource are found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceDetectors {
    /// Those in `OTEL_RESOURCE_ATTRIBUTES`.
    pub environment: Option<EnvironmentResourceDetector>,
    /// Dynatrace's.
    pub dynatrace: Option<DynatraceResourceDetector>,
}

/// Attributes from the environment; there is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvironmentResourceDetector {}

/// Dynatrace's attributes; there is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynatraceResourceDetector {}

/// Dynatrace's sampler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynatraceSampler {
    /// The tenant.
    pub tenant: String,
    /// The cluster within the tenant.
    pub cluster_id: i32,
    /// Traces a minute when the API says nothing; 0 means 1000.
    pub root_spans_per_minute: u32,
    /// The API; absent means derived from the exporter.
    pub http_service: Option<DynatraceApi>,
}

/// Dynatrace's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynatraceApi {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Path, time and headers.
    pub http: Option<ProviderHttpService>,
}
