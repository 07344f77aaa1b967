//! The HTTP rules of a VirtualService: what they match and where they lead.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CorsPolicy, Destination, HttpDirectResponse, HttpFaultInjection, HttpRedirect, HttpRetry, HttpRewrite,
    Percent, StringMatch,
};
use crate::scalar::Duration;
use crate::schema::{also_named, required};

/// A rule for HTTP requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = also_named("mirrorPercent", "mirror_percent"))]
pub struct HttpRoute {
    /// Name for logs; the matched rule's name is joined to it.
    pub name: String,
    /// Any of these must match; empty matches all.
    pub r#match: Vec<HttpMatchRequest>,
    /// Where requests go; excludes `redirect` and `directResponse`.
    pub route: Vec<HttpRouteDestination>,
    /// Answer with a redirect.
    pub redirect: Option<HttpRedirect>,
    /// Answer with a fixed response.
    pub direct_response: Option<HttpDirectResponse>,
    /// Another VirtualService whose rules take the place of `route`.
    pub delegate: Option<Delegate>,
    /// Change URI or authority before forwarding.
    pub rewrite: Option<HttpRewrite>,
    /// Time for the whole request; absent or zero means none.
    pub timeout: Option<Duration>,
    /// When to try again; absent means the mesh's default policy.
    pub retries: Option<HttpRetry>,
    /// Failures made on purpose.
    pub fault: Option<HttpFaultInjection>,
    /// A destination that gets a copy of requests.
    pub mirror: Option<Destination>,
    /// Several destinations that get copies; excludes `mirror`.
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Share of requests copied to `mirror`, in whole percent. Deprecated for `mirrorPercentage`.
    pub mirror_percent: Option<u32>,
    /// Share of requests copied to `mirror`; absent means all.
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin policy.
    pub cors_policy: Option<CorsPolicy>,
    /// Changes of headers, before those of the destination.
    pub headers: Option<Headers>,
}

/// What a request must be like; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatchRequest {
    /// Name for logs.
    pub name: String,
    /// The path (and for `exact` no query).
    pub uri: Option<StringMatch>,
    /// The scheme.
    pub scheme: Option<StringMatch>,
    /// The method.
    pub method: Option<StringMatch>,
    /// The authority.
    pub authority: Option<StringMatch>,
    /// Headers by lower-case name; a match with nothing set tests for presence.
    pub headers: BTreeMap<String, StringMatch>,
    /// Port of the service; 0 means any.
    pub port: u32,
    /// Labels that the client's workload must have.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways to which the match is limited; empty means those of the VirtualService.
    pub gateways: Vec<String>,
    /// Query parameters by name.
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compare the path without regard to case (`exact` and `prefix` only).
    pub ignore_uri_case: bool,
    /// Headers that must not match so.
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Namespace that the client's workload must be in; empty means any.
    pub source_namespace: String,
    /// Prefix of statistics of this route.
    pub stat_prefix: String,
}

/// One of the destinations of an HTTP rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteDestination {
    /// Where to.
    #[schemars(transform = required)]
    pub destination: Destination,
    /// Its share of the sum of weights; a single destination needs none.
    pub weight: i32,
    /// Changes of headers for this destination.
    pub headers: Option<Headers>,
}

/// A VirtualService to which a rule delegates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// Its name.
    pub name: String,
    /// Its namespace; empty means that of the root.
    pub namespace: String,
}

/// A destination that gets a copy of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMirrorPolicy {
    /// Where to.
    #[schemars(transform = required)]
    pub destination: Destination,
    /// Share of requests; absent means all.
    pub percentage: Option<Percent>,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Before the request is forwarded.
    pub request: Option<HeaderOperations>,
    /// Before the response is returned.
    pub response: Option<HeaderOperations>,
}

/// Changes of one message's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOperations {
    /// Headers to set, in place of what is there.
    pub set: BTreeMap<String, String>,
    /// Headers to append.
    pub add: BTreeMap<String, String>,
    /// Headers to remove.
    pub remove: Vec<String>,
}
