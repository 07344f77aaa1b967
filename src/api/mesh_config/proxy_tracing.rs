//! Traces as `ProxyConfig` sets them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::{ClientTlsSettings, EnvironmentTag, HeaderTag, LiteralTag};
use crate::scalar::F64;

/// Traces; at most one of the first five members is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyTracing {
    /// To Zipkin.
    pub zipkin: Option<TracerAddress>,
    /// To Lightstep.
    pub lightstep: Option<LightstepTracer>,
    /// To Datadog.
    pub datadog: Option<TracerAddress>,
    /// To Stackdriver.
    pub stackdriver: Option<StackdriverTracer>,
    /// To OpenCensus.
    pub open_census_agent: Option<OpenCensusTracer>,
    /// Tags by name.
    pub custom_tags: BTreeMap<String, ProxyCustomTag>,
    /// Longest path in a tag; 0 means 256.
    pub max_path_tag_length: u32,
    /// Percent of requests that are sampled; 0 means the control plane's default of 1.
    pub sampling: F64,
    /// TLS towards the collector.
    pub tls_settings: Option<ClientTlsSettings>,
    /// Add Istio's own tags; absent means yes.
    pub enable_istio_tags: Option<bool>,
}

/// A collector by its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracerAddress {
    /// The address, `host:port`.
    pub address: String,
}

/// Traces to Lightstep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LightstepTracer {
    /// The address, `host:port`.
    pub address: String,
    /// Token.
    pub access_token: String,
}

/// Traces to Stackdriver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StackdriverTracer {
    /// Write traces to standard output too.
    pub debug: bool,
    /// Most attributes of a span; absent means 200.
    pub max_number_of_attributes: Option<i64>,
    /// Most annotations of a span; absent means 200.
    pub max_number_of_annotations: Option<i64>,
    /// Most message events of a span; absent means 200.
    pub max_number_of_message_events: Option<i64>,
}

/// Traces to OpenCensus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenCensusTracer {
    /// The address, `host:port`.
    pub address: String,
    /// Which headers carry context.
    pub context: Vec<TraceContext>,
}

/// Which headers carry context.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TraceContext {
    /// Not said.
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    /// `traceparent`.
    #[serde(rename = "W3C_TRACE_CONTEXT")]
    W3c,
    /// `grpc-trace-bin`.
    #[serde(rename = "GRPC_BIN")]
    GrpcBin,
    /// `X-Cloud-Trace-Context`.
    #[serde(rename = "CLOUD_TRACE_CONTEXT")]
    Cloud,
    /// `X-B3-*`.
    #[serde(rename = "B3")]
    B3,
}

/// Where a tag's value comes from; exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyCustomTag {
    /// A constant.
    pub literal: Option<LiteralTag>,
    /// An environment variable of the proxy.
    pub environment: Option<EnvironmentTag>,
    /// A request header.
    pub header: Option<HeaderTag>,
}
