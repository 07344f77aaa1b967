//! Extension providers: the named back ends of Telemetry, AuthorizationPolicy and secrets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DatadogProvider, EnvoyFileAccessLogProvider, EnvoyHttpAlsProvider, EnvoyOtelAlsProvider,
    EnvoyTcpAlsProvider, LightstepProvider, OpenCensusProvider, OpenTelemetryProvider, SkyWalkingProvider,
    StackdriverProvider, ZipkinProvider,
};
use crate::scalar::Duration;

/// A named back end; exactly one member beside the name is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProvider {
    /// The name by which policies use it.
    pub name: String,
    /// External authorization over HTTP.
    pub envoy_ext_authz_http: Option<ExtAuthzHttpProvider>,
    /// External authorization over gRPC.
    pub envoy_ext_authz_grpc: Option<ExtAuthzGrpcProvider>,
    /// Traces to Zipkin.
    pub zipkin: Option<ZipkinProvider>,
    /// Traces to Lightstep. Deprecated.
    pub lightstep: Option<LightstepProvider>,
    /// Traces to Datadog.
    pub datadog: Option<DatadogProvider>,
    /// Traces, metrics and logs to Stackdriver.
    pub stackdriver: Option<StackdriverProvider>,
    /// Traces to OpenCensus. Deprecated, refused by today's Envoy.
    pub opencensus: Option<OpenCensusProvider>,
    /// Traces to SkyWalking.
    pub skywalking: Option<SkyWalkingProvider>,
    /// Traces by OpenTelemetry.
    pub opentelemetry: Option<OpenTelemetryProvider>,
    /// Metrics for Prometheus.
    pub prometheus: Option<PrometheusProvider>,
    /// Access logs to a file.
    pub envoy_file_access_log: Option<EnvoyFileAccessLogProvider>,
    /// Access logs of HTTP over gRPC.
    pub envoy_http_als: Option<EnvoyHttpAlsProvider>,
    /// Access logs of TCP over gRPC.
    pub envoy_tcp_als: Option<EnvoyTcpAlsProvider>,
    /// Access logs by OpenTelemetry.
    pub envoy_otel_als: Option<EnvoyOtelAlsProvider>,
    /// Secrets by SDS.
    pub sds: Option<SdsProvider>,
}

impl ExtensionProvider {
    /// The providers that every mesh has: `prometheus`, `stackdriver`, and `envoy` (access log to standard output).
    pub fn built_in() -> Vec<Self> {
        let named = |name: &str| Self { name: name.to_owned(), ..Self::default() };
        vec![
            Self { prometheus: Some(PrometheusProvider {}), ..named("prometheus") },
            Self { stackdriver: Some(StackdriverProvider::default()), ..named("stackdriver") },
            Self {
                envoy_file_access_log: Some(EnvoyFileAccessLogProvider {
                    path: "/dev/stdout".to_owned(),
                    ..EnvoyFileAccessLogProvider::default()
                }),
                ..named("envoy")
            },
        ]
    }
}

/// Metrics for Prometheus; there is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusProvider {}

/// Secrets by SDS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SdsProvider {
    /// Name of the secret's source, as in `credentialName: sds://NAME`.
    pub name: String,
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
}

/// How much of a request's body an authorizer gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzRequestBody {
    /// Most bytes.
    pub max_request_bytes: u32,
    /// Send a part of longer bodies instead of refusing them.
    pub allow_partial_message: bool,
    /// Send bytes instead of text.
    pub pack_as_bytes: bool,
}

/// External authorization over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzHttpProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Time for an answer; absent means 600 s.
    pub timeout: Option<Duration>,
    /// What is put before the path.
    pub path_prefix: String,
    /// Let requests pass when the authorizer fails.
    pub fail_open: bool,
    /// Choose the route again after authorization.
    pub clear_route_cache: bool,
    /// Status when the authorizer fails; empty means 403.
    pub status_on_error: String,
    /// Deprecated for `include_request_headers_in_check`.
    pub include_headers_in_check: Vec<String>,
    /// Request headers that the authorizer gets, exact or with `*` at either end.
    pub include_request_headers_in_check: Vec<String>,
    /// Further headers that it gets.
    pub include_additional_headers_in_check: BTreeMap<String, String>,
    /// Body that it gets; absent means none.
    pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
    /// Headers of its answer that go upstream when it allows.
    pub headers_to_upstream_on_allow: Vec<String>,
    /// Headers of its answer that go to the client when it denies.
    pub headers_to_downstream_on_deny: Vec<String>,
    /// Headers of its answer that go to the client when it allows.
    pub headers_to_downstream_on_allow: Vec<String>,
}

/// External authorization over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzGrpcProvider {
    /// Host of the service, perhaps as `namespace/host`.
    pub service: String,
    /// Its port.
    pub port: u32,
    /// Time for an answer; absent means 600 s.
    pub timeout: Option<Duration>,
    /// Let requests pass when the authorizer fails.
    pub fail_open: bool,
    /// Choose the route again after authorization.
    pub clear_route_cache: bool,
    /// Status when the authorizer fails; empty means 403.
    pub status_on_error: String,
    /// Body that it gets; absent means none.
    pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
}
