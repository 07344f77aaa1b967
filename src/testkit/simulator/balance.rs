//! Shares of endpoints: by priority and health, by the weights of localities, by the weights of endpoints.
//!
//! Source: <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority> and the
//! pages `panic_threshold` and `locality_weight` beside it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::common_lb_config::LocalityConfigSpecifier;
use envoy::config::core::v3::address::Address as Kind;
use envoy::config::core::v3::socket_address::PortSpecifier;
use envoy::config::core::v3::{Address, HealthStatus};
use envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints};

use super::known;

/// How much load a priority may take beyond its healthy share, in percent.
const OVERPROVISIONING: u32 = 140;
/// The share of healthy endpoints below which all are used, in percent.
const PANIC: f64 = 50.0;

/// One priority.
struct Level<'a> {
    localities: Vec<&'a LocalityLbEndpoints>,
    healthy: f64,
    all: f64,
}

/// The endpoints that may be chosen, with their shares.
pub(super) fn shares<'a>(
    cluster: &Cluster,
    assignment: &'a ClusterLoadAssignment,
) -> Result<Vec<(f64, &'a LbEndpoint)>> {
    let policy = assignment.policy.clone().unwrap_or_default();
    known::only(&policy, &["overprovisioning_factor"], &[])?;
    let factor = f64::from(policy.overprovisioning_factor.map_or(OVERPROVISIONING, |f| f.value)) / 100.0;
    let options = cluster.common_lb_config.clone().unwrap_or_default();
    let used = ["healthy_panic_threshold", "locality_weighted_lb_config", "zone_aware_lb_config"];
    let inert = ["update_merge_window", "override_host_status", "close_connections_on_host_set_change"];
    known::only(&options, &used, &inert)?;
    let panic = options.healthy_panic_threshold.map_or(PANIC, |p| p.value);
    let weighted = matches!(
        options.locality_config_specifier,
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_))
    );

    let levels = levels(assignment)?;
    let available: Vec<f64> = levels
        .iter()
        .map(|l| if l.all == 0.0 { 0.0 } else { (factor * l.healthy / l.all).min(1.0) })
        .collect();
    let total: f64 = available.iter().sum::<f64>().min(1.0);
    let mut chosen = Vec::new();
    let mut left = 1.0;
    for (level, available) in levels.iter().zip(&available) {
        let in_panic = total < 1.0 && level.all > 0.0 && 100.0 * level.healthy / level.all < panic;
        let load = if total > 0.0 { f64::min(left, available / total) } else { even(&levels, level) };
        left -= load;
        if load > 1e-9 && (total > 0.0 || in_panic) {
            level.spread(load, in_panic, weighted.then_some(factor), &mut chosen);
        }
    }
    Ok(chosen)
}

/// Where nothing is healthy, priorities share by their sizes.
fn even(levels: &[Level<'_>], level: &Level<'_>) -> f64 {
    let all: f64 = levels.iter().map(|l| l.all).sum();
    if all > 0.0 { level.all / all } else { 0.0 }
}

fn levels(assignment: &ClusterLoadAssignment) -> Result<Vec<Level<'_>>> {
    let mut levels: BTreeMap<u32, Level<'_>> = BTreeMap::new();
    for locality in &assignment.endpoints {
        let used = ["locality", "lb_endpoints", "load_balancing_weight", "priority"];
        known::only(locality, &used, &["metadata"])?;
        let level = levels.entry(locality.priority).or_insert(Level {
            localities: Vec::new(),
            healthy: 0.0,
            all: 0.0,
        });
        level.all += count(locality.lb_endpoints.iter());
        for endpoint in &locality.lb_endpoints {
            if endpoint.health_status() == HealthStatus::Degraded {
                bail!("the simulator does not know degraded endpoints");
            }
        }
        level.healthy += count(locality.lb_endpoints.iter().filter(|e| healthy(e)));
        level.localities.push(locality);
    }
    Ok(levels.into_values().collect())
}

fn count<'a>(endpoints: impl Iterator<Item = &'a LbEndpoint>) -> f64 {
    endpoints.fold(0.0, |sum, _| sum + 1.0)
}

fn healthy(endpoint: &LbEndpoint) -> bool {
    matches!(endpoint.health_status(), HealthStatus::Healthy | HealthStatus::Unknown)
}

impl<'a> Level<'a> {
    /// Spreads the load of the priority; by the weights of localities if a factor is given.
    fn spread(
        &self,
        load: f64,
        panic: bool,
        by_locality: Option<f64>,
        chosen: &mut Vec<(f64, &'a LbEndpoint)>,
    ) {
        let usable = |l: &'a LocalityLbEndpoints| -> Vec<&'a LbEndpoint> {
            l.lb_endpoints.iter().filter(|e| panic || healthy(e)).collect()
        };
        let Some(factor) = by_locality else {
            weigh(load, self.localities.iter().flat_map(|l| usable(l)).collect(), chosen);
            return;
        };
        let weight = |l: &&'a LocalityLbEndpoints| {
            let all = count(l.lb_endpoints.iter());
            let available =
                if all == 0.0 { 0.0 } else { (factor * count(usable(l).into_iter()) / all).min(1.0) };
            f64::from(l.load_balancing_weight.map_or(0, |w| w.value)) * available
        };
        let total: f64 = self.localities.iter().map(weight).sum();
        for locality in self.localities.iter().filter(|l| weight(l) > 0.0) {
            weigh(load * weight(locality) / total, usable(locality), chosen);
        }
    }
}

fn weigh<'a>(load: f64, endpoints: Vec<&'a LbEndpoint>, chosen: &mut Vec<(f64, &'a LbEndpoint)>) {
    let weight = |e: &LbEndpoint| f64::from(e.load_balancing_weight.map_or(1, |w| w.value));
    let total: f64 = endpoints.iter().map(|e| weight(e)).sum();
    chosen.extend(endpoints.into_iter().map(|e| (load * weight(e) / total, e)));
}

/// The address of an endpoint, as text.
pub(super) fn address(endpoint: &LbEndpoint) -> Result<String> {
    let Some(HostIdentifier::Endpoint(at)) = &endpoint.host_identifier else {
        bail!("an endpoint that is only named");
    };
    let address: &Address = at.address.as_ref().context("an endpoint without an address")?;
    match &address.address {
        Some(Kind::SocketAddress(socket)) => {
            let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else {
                bail!("an endpoint without a port");
            };
            let v6 = socket.address.contains(':');
            Ok(if v6 { format!("[{}]:{port}", socket.address) } else { format!("{}:{port}", socket.address) })
        }
        Some(Kind::Pipe(pipe)) => Ok(pipe.path.clone()),
        other => bail!("the simulator does not know the address {other:?}"),
    }
}
