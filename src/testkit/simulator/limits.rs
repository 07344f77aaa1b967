//! How much a cluster takes at once: its pools and retries; and how long its new endpoints are spared.
//!
//! Where a call goes does not depend on these, whether it gets there does. Source: `CircuitBreakers` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto>, the page `slow_start`.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::{LbConfig, SlowStartConfig};
use envoy::google::protobuf::UInt32Value;

use super::known;
use super::resources::Resources;

/// Limits of a cluster; none of them where the control plane sets Envoy's largest number, or no limits at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Connections to all endpoints.
    pub connections: Option<u32>,
    /// Requests that wait for a connection.
    pub pending: Option<u32>,
    /// Requests under way.
    pub requests: Option<u32>,
    /// Retries under way, as a number.
    pub retries: Option<u32>,
    /// Retries under way, as a percentage of the requests under way, and how many there may be always.
    pub budget: Option<(f64, u32)>,
    /// In how much time the share of a new endpoint grows, and the percentage that it begins with.
    pub warm_up: Option<(Duration, f64)>,
}

impl Limits {
    /// Whether the proxy may refuse what would be one too many.
    #[must_use]
    pub fn refuse(&self) -> bool {
        [self.connections, self.pending, self.requests].iter().any(Option::is_some)
    }
}

/// The limits of the cluster of this name.
pub(super) fn of(resources: &Resources, name: &str) -> Result<Limits> {
    let Some(cluster) = resources.clusters.get(name) else { return Ok(Limits::default()) };
    read(cluster).with_context(|| format!("limits of cluster {name}"))
}

fn read(cluster: &Cluster) -> Result<Limits> {
    let mut limits = Limits { warm_up: warm_up(cluster)?, ..Limits::default() };
    let breakers = cluster.circuit_breakers.iter();
    // All requests have the first priority: routes of the mesh set no other.
    if let Some(first) = breakers.flat_map(|all| &all.thresholds).find(|t| t.priority == 0) {
        let used = ["max_connections", "max_pending_requests", "max_requests", "max_retries", "retry_budget"];
        known::only(first, &used, &["track_remaining"])?;
        let limit = |value: Option<UInt32Value>| value.map(|v| v.value).filter(|limit| *limit < u32::MAX);
        limits.connections = limit(first.max_connections);
        limits.pending = limit(first.max_pending_requests);
        limits.requests = limit(first.max_requests);
        limits.retries = limit(first.max_retries);
        if let Some(budget) = &first.retry_budget {
            known::only(budget, &["budget_percent", "min_retry_concurrency"], &["budget_interval"])?;
            let least = budget.min_retry_concurrency.map_or(3, |v| v.value);
            limits.budget = Some((budget.budget_percent.map_or(20.0, |p| p.value), least));
        }
    }
    Ok(limits)
}

fn warm_up(cluster: &Cluster) -> Result<Option<(Duration, f64)>> {
    let config: Option<&SlowStartConfig> = match &cluster.lb_config {
        Some(LbConfig::RoundRobinLbConfig(config)) => config.slow_start_config.as_ref(),
        Some(LbConfig::LeastRequestLbConfig(config)) => config.slow_start_config.as_ref(),
        _ => None,
    };
    let Some(config) = config else { return Ok(None) };
    known::only(config, &["slow_start_window", "min_weight_percent"], &["aggression"])?;
    let window = config.slow_start_window.as_ref().and_then(|window| window.to_std()).unwrap_or_default();
    Ok(Some((window, config.min_weight_percent.map_or(10.0, |p| p.value))))
}

/// Each limit that is set, after `; `.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            (self.connections, "connections"),
            (self.pending, "waiting requests"),
            (self.requests, "requests"),
            (self.retries, "retries at once"),
        ];
        for (limit, of) in numbers.iter().filter_map(|(limit, of)| Some((limit.as_ref()?, of))) {
            write!(f, "; at most {limit} {of}")?;
        }
        if let Some((percent, least)) = self.budget {
            write!(f, "; at most {percent}% or {least} retries at once")?;
        }
        match self.warm_up {
            Some((window, percent)) => write!(f, "; new endpoints from {percent}% within {window:?}"),
            None => Ok(()),
        }
    }
}
