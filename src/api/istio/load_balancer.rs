//! Load balancing: how an endpoint is chosen, by policy, hash and locality.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Duration, F64};
use crate::schema::{any_span, one_of, required};

/// How an endpoint is chosen. `simple` and `consistentHash` exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("simple, consistentHash"))]
pub struct LoadBalancerSettings {
    /// One of the plain policies.
    pub simple: Option<SimpleLb>,
    /// By a hash of something in the request.
    pub consistent_hash: Option<ConsistentHashLb>,
    /// Preference by locality; absent means the mesh's.
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Preference for the own zone, in proportion to capacity; excludes `localityLbSetting`.
    pub zone_aware_lb_setting: Option<ZoneAwareLbSetting>,
    /// Time in which a new endpoint's share grows. Deprecated for `warmup`.
    pub warmup_duration_secs: Option<Duration>,
    /// How a new endpoint's share grows.
    pub warmup: Option<WarmupConfiguration>,
}

/// The plain policies.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLb {
    /// The default, least requests.
    #[default]
    Unspecified,
    /// Deprecated name of `LEAST_REQUEST`.
    LeastConn,
    /// At random.
    Random,
    /// To the address that the client asked for.
    Passthrough,
    /// In turn.
    RoundRobin,
    /// To the less loaded of two.
    LeastRequest,
}

/// Choice by a hash: exactly one source of it, and at most one algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName"))]
#[schemars(transform = one_of("ringHash, maglev"))]
pub struct ConsistentHashLb {
    /// Hash of a header.
    pub http_header_name: Option<String>,
    /// Hash of a cookie, which is made when it is absent.
    pub http_cookie: Option<HttpCookie>,
    /// Hash of the client's address.
    pub use_source_ip: Option<bool>,
    /// Hash of a query parameter.
    pub http_query_parameter_name: Option<String>,
    /// Ring hash.
    pub ring_hash: Option<RingHash>,
    /// Maglev.
    pub maglev: Option<MagLev>,
    /// Smallest ring. Deprecated for `ringHash`.
    pub minimum_ring_size: u64,
}

/// A cookie whose value is hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookie {
    /// Its name.
    #[schemars(transform = required)]
    pub name: String,
    /// Its path; empty means none.
    pub path: String,
    /// Its life; zero makes a session cookie, absent makes none.
    #[schemars(transform = any_span)]
    pub ttl: Option<Duration>,
    /// Further attributes of a cookie that is made.
    pub attributes: Vec<CookieAttribute>,
}

/// An attribute of a cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieAttribute {
    /// Its name.
    #[schemars(transform = required)]
    pub name: String,
    /// Its value; may be empty.
    pub value: String,
}

/// The ring hash algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RingHash {
    /// Smallest ring; 0 means 1024.
    pub minimum_ring_size: u64,
}

/// The Maglev algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MagLev {
    /// Size of the table, a prime; 0 means 65537.
    pub table_size: u64,
}

/// Preference by locality. `distribute`, `failover` and `failoverPriority` exclude one another, but for the last two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityLbSetting {
    /// Shares of localities, by the client's locality.
    pub distribute: Vec<LocalityDistribute>,
    /// Where traffic goes when a region fails.
    pub failover: Vec<LocalityFailover>,
    /// Labels, with or without `=value`, in whose order endpoints are preferred.
    pub failover_priority: Vec<String>,
    /// Whether this is on; absent means as the mesh says.
    pub enabled: Option<bool>,
}

/// Shares of localities for clients of one locality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityDistribute {
    /// The clients' locality, `region/zone/subzone` with `*` at the end.
    pub from: String,
    /// Percent by locality; the sum is 100.
    pub to: BTreeMap<String, u32>,
}

/// Where traffic of a region goes when its endpoints fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityFailover {
    /// The region that fails.
    pub from: String,
    /// The region that takes over.
    pub to: String,
}

/// Preference for the own zone, in proportion to capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneAwareLbSetting {
    /// Whether this is on; absent means as the mesh says.
    pub enabled: Option<bool>,
    /// Fewest endpoints of the cluster for it to work; absent means Envoy's default of 6.
    #[schemars(range(min = 1))]
    pub min_cluster_size: Option<u64>,
    /// Where traffic goes when a region fails.
    pub failover: Vec<LocalityFailover>,
    /// Labels, with or without `=value`, in whose order endpoints are preferred.
    pub failover_priority: Vec<String>,
}

/// How a new endpoint's share grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmupConfiguration {
    /// Over what time.
    #[schemars(transform = required)]
    pub duration: Option<Duration>,
    /// The share at the start in percent; absent means 10.
    #[schemars(range(min = 0, max = 100))]
    pub minimum_percent: Option<F64>,
    /// The curve: 1.0 (the default) is a line, more grows later.
    #[schemars(range(min = 0))]
    pub aggression: Option<F64>,
}
