//! What an HTTP rule of a VirtualService does beside routing: redirect, answer, rewrite, retry, fail, allow origins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Percent, StringMatch};
use crate::scalar::{Base64, Duration};
use crate::schema::{one_of, required};

/// A redirect. Absent parts stay as in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("port, derivePort"))]
pub struct HttpRedirect {
    /// New path and query; may use `%PREFIX()%` and the like.
    pub uri: String,
    /// New authority.
    pub authority: String,
    /// New port; excludes `derivePort`.
    pub port: Option<u32>,
    /// How the port follows from the request; excludes `port`.
    pub derive_port: Option<RedirectPortSelection>,
    /// New scheme.
    pub scheme: String,
    /// Status code; 0 means 301.
    pub redirect_code: u32,
    /// New prefix in place of the matched one; excludes `uri`.
    pub prefix_rewrite: String,
}

/// Where a redirect's port comes from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RedirectPortSelection {
    /// 80 for HTTP, 443 for HTTPS.
    #[default]
    FromProtocolDefault,
    /// The request's own port.
    FromRequestPort,
}

/// A fixed response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpDirectResponse {
    /// Status code.
    #[schemars(transform = required)]
    pub status: u32,
    /// Body; absent means none.
    pub body: Option<HttpBody>,
}

/// A body; exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("string, bytes"))]
pub struct HttpBody {
    /// As text.
    pub string: Option<String>,
    /// As bytes.
    pub bytes: Option<Base64>,
}

/// Changes of a request's path and authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRewrite {
    /// New path, or prefix where a prefix was matched.
    pub uri: String,
    /// New authority.
    pub authority: String,
    /// Rewrite of the path by an expression; excludes `uri`.
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// A rewrite by an RE2 expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RegexRewrite {
    /// The expression.
    pub r#match: String,
    /// What takes the place of what matched; `\1` and so on stand for groups.
    pub rewrite: String,
}

/// When a failed request is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRetry {
    /// How often; 0 turns retries off.
    pub attempts: i32,
    /// Time for one attempt; absent means the route's timeout.
    pub per_try_timeout: Option<Duration>,
    /// Conditions of Envoy, and status codes, separated by commas; empty means the default conditions.
    pub retry_on: String,
    /// Whether retries may go to other localities.
    pub retry_remote_localities: Option<bool>,
    /// Whether retries avoid hosts already tried; absent means yes.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// Base interval between retries; absent means 25 ms.
    pub backoff: Option<Duration>,
}

/// Failures made on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpFaultInjection {
    /// Delays before forwarding.
    pub delay: Option<FaultDelay>,
    /// Requests answered with an error.
    pub abort: Option<FaultAbort>,
}

/// A delay of some requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("fixedDelay, exponentialDelay"))]
pub struct FaultDelay {
    /// Share in whole percent. Deprecated for `percentage`.
    pub percent: i32,
    /// The delay; excludes `exponentialDelay`.
    pub fixed_delay: Option<Duration>,
    /// Mean of an exponentially distributed delay; not supported by Envoy.
    pub exponential_delay: Option<Duration>,
    /// Share of requests; absent means `percent`.
    pub percentage: Option<Percent>,
}

/// An abort of some requests; exactly one kind of error is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("httpStatus, grpcStatus, http2Error"))]
pub struct FaultAbort {
    /// HTTP status.
    pub http_status: Option<i32>,
    /// gRPC status, by name or number.
    pub grpc_status: Option<String>,
    /// HTTP/2 error; not supported by Envoy.
    pub http2_error: Option<String>,
    /// Share of requests; absent means all.
    pub percentage: Option<Percent>,
}

/// Cross-origin resource sharing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Origins, compared as a whole. Deprecated for `allowOrigins`.
    pub allow_origin: Vec<String>,
    /// Origins that are allowed.
    pub allow_origins: Vec<StringMatch>,
    /// `Access-Control-Allow-Methods`.
    pub allow_methods: Vec<String>,
    /// `Access-Control-Allow-Headers`.
    pub allow_headers: Vec<String>,
    /// `Access-Control-Expose-Headers`.
    pub expose_headers: Vec<String>,
    /// `Access-Control-Max-Age`.
    pub max_age: Option<Duration>,
    /// `Access-Control-Allow-Credentials`.
    pub allow_credentials: Option<bool>,
    /// What becomes of a preflight request whose origin is not allowed.
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What becomes of a preflight request whose origin is not allowed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnmatchedPreflights {
    /// As `FORWARD`.
    #[default]
    Unspecified,
    /// It is forwarded.
    Forward,
    /// It is answered without the headers that allow.
    Ignore,
}
