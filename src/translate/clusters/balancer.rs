//! Load balancing: policy, hash, warm-up, localities.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster_traffic_policy.go`; `shared/spec/xds.md` 2.8.

use api::istio::{ConsistentHashLb, LoadBalancerSettings, OutlierDetection, SimpleLb, ZoneAwareLbSetting};
use envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig, ZoneAwareLbConfig,
};
use envoy::config::cluster::v3::cluster::{
    DiscoveryType, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig, RingHashLbConfig,
    RoundRobinLbConfig, SlowStartConfig,
};
use envoy::config::core::v3::{HealthStatus, HealthStatusSet, RuntimeDouble};
use envoy::r#type::v3::Percent;
use model::mesh::Settings;
use model::protocol::Protocol;
use model::service::{Service, TrafficDistribution};

use super::draft::{Draft, wire};
use super::policy::Policy;
use crate::endpoints::preference::Preference;

/// A ring's smallest size if a rule names no algorithm.
const DEFAULT_RING: u64 = 1024;
/// Envoy wants the key of a runtime value to be there; this one names nothing.
const NO_RUNTIME_KEY: &str = "(";
const DEFAULT_AGGRESSION: f64 = 1.0;
const DEFAULT_WARMUP_PERCENT: f64 = 10.0;

/// Whether clients of a service are told of its unhealthy endpoints.
pub(crate) fn sends_unhealthy(
    service: &Service,
    outlier: Option<&OutlierDetection>,
    settings: &Settings,
) -> bool {
    let features = &settings.features;
    let forced = features.send_unhealthy || service.traffic_distribution != TrafficDistribution::Any;
    forced || (features.auto_send_unhealthy && outlier.is_none_or(|o| o.min_health_percent <= 0))
}

/// Sets the balancing of a service's cluster.
pub(crate) fn apply(
    draft: &mut Draft,
    service: &Service,
    protocol: Protocol,
    policy: &Policy<'_>,
    settings: &Settings,
) {
    if sends_unhealthy(service, policy.outlier_detection, settings) {
        // Unhealthy endpoints are there to be seen, not to be used in a panic.
        draft.common_lb().healthy_panic_threshold = Some(Percent::default());
    }
    let balancer = policy.load_balancer;
    let preference = Preference::of(balancer, service, &settings.mesh);
    apply_localities(draft, preference, policy.outlier_detection.is_some(), settings);
    if draft.is_original_dst() {
        draft.cluster.set_lb_policy(LbPolicy::ClusterProvided);
        return;
    }
    if settings.features.redis_filter && protocol == Protocol::Redis {
        // Keys must always come to the same endpoint, whatever a rule asks for.
        draft.cluster.set_lb_policy(LbPolicy::Maglev);
        return;
    }
    apply_simple(draft, balancer);
    if let Some(hash) = balancer.and_then(|b| b.consistent_hash.as_ref()) {
        apply_hash(draft, hash);
    }
}

/// Requests of a session go on to its endpoint while that one drains.
pub(crate) fn apply_persistent_session(draft: &mut Draft) {
    let statuses =
        [HealthStatus::Healthy, HealthStatus::Draining, HealthStatus::Unknown, HealthStatus::Degraded];
    draft.common_lb().override_host_status =
        Some(HealthStatusSet { statuses: statuses.into_iter().map(i32::from).collect() });
}

fn apply_localities(draft: &mut Draft, preference: Preference<'_>, outlier: bool, settings: &Settings) {
    let specifier = match preference {
        Preference::ZoneAware(zone_aware) => LocalityConfigSpecifier::ZoneAwareLbConfig(zones(zone_aware)),
        _ if settings.features.locality_weighted_lb && preference != Preference::None => weighted(),
        _ if preference.weighs_localities(outlier) => weighted(),
        _ => return,
    };
    draft.common_lb().locality_config_specifier = Some(specifier);
}

fn weighted() -> LocalityConfigSpecifier {
    LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {})
}

fn zones(setting: &ZoneAwareLbSetting) -> ZoneAwareLbConfig {
    ZoneAwareLbConfig {
        routing_enabled: (setting.enabled == Some(false)).then(Percent::default),
        min_cluster_size: setting.min_cluster_size.map(Into::into),
        ..ZoneAwareLbConfig::default()
    }
}

/// To the address that the client asked for, wherever the endpoints are. A subset cannot take it back.
pub(super) fn set_passthrough(draft: &mut Draft) {
    draft.set_discovery(DiscoveryType::OriginalDst);
    draft.cluster.load_assignment = None;
    draft.cluster.eds_cluster_config = None;
}

fn apply_simple(draft: &mut Draft, balancer: Option<&LoadBalancerSettings>) {
    let slow_start = balancer.and_then(slow_start);
    match balancer.and_then(|b| b.simple).unwrap_or_default() {
        SimpleLb::Random => draft.cluster.set_lb_policy(LbPolicy::Random),
        SimpleLb::Passthrough => set_passthrough(draft),
        SimpleLb::RoundRobin => {
            draft.cluster.set_lb_policy(LbPolicy::RoundRobin);
            draft.cluster.lb_config = slow_start
                .map(|s| LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: Some(s) }));
        }
        SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest => {
            draft.cluster.set_lb_policy(LbPolicy::LeastRequest);
            draft.cluster.lb_config = slow_start.map(|s| {
                LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                    slow_start_config: Some(s),
                    ..LeastRequestLbConfig::default()
                })
            });
        }
    }
}

fn slow_start(balancer: &LoadBalancerSettings) -> Option<SlowStartConfig> {
    if let Some(warmup) = &balancer.warmup {
        return Some(SlowStartConfig {
            slow_start_window: warmup.duration.map(wire),
            aggression: Some(RuntimeDouble {
                default_value: warmup.aggression.map_or(DEFAULT_AGGRESSION, api::F64::get),
                runtime_key: NO_RUNTIME_KEY.to_owned(),
            }),
            min_weight_percent: Some(Percent {
                value: warmup.minimum_percent.map_or(DEFAULT_WARMUP_PERCENT, api::F64::get),
            }),
        });
    }
    let window = balancer.warmup_duration_secs?;
    Some(SlowStartConfig { slow_start_window: Some(wire(window)), ..SlowStartConfig::default() })
}

fn apply_hash(draft: &mut Draft, hash: &ConsistentHashLb) {
    if draft.is_original_dst() {
        return;
    }
    let (policy, config) = if let Some(maglev) = &hash.maglev {
        let config = MaglevLbConfig { table_size: Some(maglev.table_size.into()) };
        (LbPolicy::Maglev, (maglev.table_size != 0).then_some(LbConfig::MaglevLbConfig(config)))
    } else if let Some(ring) = &hash.ring_hash {
        (LbPolicy::RingHash, (ring.minimum_ring_size != 0).then(|| ring_config(ring.minimum_ring_size)))
    } else {
        let size = if hash.minimum_ring_size == 0 { DEFAULT_RING } else { hash.minimum_ring_size };
        (LbPolicy::RingHash, Some(ring_config(size)))
    };
    draft.cluster.set_lb_policy(policy);
    draft.cluster.lb_config = config;
}

fn ring_config(size: u64) -> LbConfig {
    LbConfig::RingHashLbConfig(RingHashLbConfig {
        minimum_ring_size: Some(size.into()),
        ..RingHashLbConfig::default()
    })
}
