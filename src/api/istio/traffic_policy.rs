//! The traffic policy of a DestinationRule, as a whole and for single ports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection, PortSelector,
};
use crate::scalar::{Duration, F64};
use crate::schema::{any_span, required};

/// Policy for traffic to some endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits and times of connections.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When endpoints are set aside.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the endpoints.
    pub tls: Option<ClientTlsSettings>,
    /// Policies of single ports. What such a policy leaves out has its default, not the value above.
    #[schemars(length(max = 4096))]
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// Tunnel TCP through an HTTP proxy.
    pub tunnel: Option<TunnelSettings>,
    /// Begin connections with a PROXY protocol header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How many retries may be under way at a time.
    pub retry_budget: Option<RetryBudget>,
}

/// Policy for traffic to one port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTrafficPolicy {
    /// The port of the service.
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits and times of connections.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When endpoints are set aside.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the endpoints.
    pub tls: Option<ClientTlsSettings>,
}

/// Tunnelling of TCP through an HTTP proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelSettings {
    /// Method: `CONNECT` (the default when empty) or `POST`.
    pub protocol: String,
    /// Host that the proxy is asked for.
    #[schemars(transform = required)]
    pub target_host: String,
    /// Port that the proxy is asked for.
    #[schemars(transform = required)]
    pub target_port: u32,
}

/// The PROXY protocol towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Its version.
    pub version: ProxyProtocolVersion,
}

/// Versions of the PROXY protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProxyProtocolVersion {
    /// The readable one.
    #[default]
    V1,
    /// The binary one.
    V2,
}

/// A limit of concurrent retries that follows the load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// Retries in percent of the active requests; absent means 20.
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<F64>,
    /// Retries that are always allowed; 0 means the default of 3.
    pub min_retry_concurrency: u32,
    /// Not acted on by Envoy.
    #[schemars(transform = any_span)]
    pub budget_interval: Option<Duration>,
}
