//! Which endpoints a client prefers: by the rule, by the service, by the mesh.
//!
//! Source: Istio `pilot/pkg/networking/core/loadbalancer/loadbalancer.go`; `shared/spec/xds.md` 3.5.

use api::istio::{LoadBalancerSettings, LocalityFailover, LocalityLbSetting, ZoneAwareLbSetting};
use api::mesh_config::MeshConfig;
use model::service::{Service, TrafficDistribution};

const SAME_ZONE: [&str; 3] =
    ["topology.istio.io/network", "topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
const SAME_NODE: [&str; 5] = [
    "topology.istio.io/network",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
];

/// The preference in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference<'a> {
    /// None at all.
    None,
    /// By locality, as a rule or the mesh says.
    Locality(&'a LocalityLbSetting),
    /// By labels, as the service says; needs no outlier detection.
    Distribution(&'static [&'static str]),
    /// By zone in proportion to capacity.
    ZoneAware(&'a ZoneAwareLbSetting),
}

impl<'a> Preference<'a> {
    /// The preference for a service: rule's zone-aware, rule's locality, the service's own, mesh's zone-aware, mesh's
    /// locality. What a rule switches off is off; a zone-aware setting that is off keeps the wider ones off too.
    pub(crate) fn of(
        balancer: Option<&'a LoadBalancerSettings>,
        service: &Service,
        mesh: &'a MeshConfig,
    ) -> Self {
        if let Some(zone_aware) = balancer.and_then(|b| b.zone_aware_lb_setting.as_ref()) {
            return Self::ZoneAware(zone_aware);
        }
        if let Some(locality) = balancer.and_then(|b| b.locality_lb_setting.as_ref()) {
            return if locality.enabled == Some(false) { Self::None } else { Self::Locality(locality) };
        }
        match service.traffic_distribution {
            TrafficDistribution::PreferSameZone => return Self::Distribution(&SAME_ZONE),
            TrafficDistribution::PreferSameNode => return Self::Distribution(&SAME_NODE),
            TrafficDistribution::Any => {}
        }
        if let Some(zone_aware) = &mesh.zone_aware_lb_setting {
            return Self::ZoneAware(zone_aware);
        }
        match &mesh.locality_lb_setting {
            Some(locality) if locality.enabled != Some(false) => Self::Locality(locality),
            _ => Self::None,
        }
    }

    /// Whether endpoints get priorities: with outlier detection, or because service or zones demand it.
    pub(crate) fn prioritises(&self, outlier_detection: bool) -> bool {
        match self {
            Self::None => false,
            Self::Locality(_) => outlier_detection,
            Self::Distribution(_) => true,
            Self::ZoneAware(zone_aware) => zone_aware.enabled != Some(false),
        }
    }

    /// Labels in whose order endpoints are preferred.
    pub(crate) fn labels(&self) -> Vec<&'a str> {
        match self {
            Self::None => Vec::new(),
            Self::Locality(l) => l.failover_priority.iter().map(String::as_str).collect(),
            Self::Distribution(labels) => labels.to_vec(),
            Self::ZoneAware(z) => z.failover_priority.iter().map(String::as_str).collect(),
        }
    }

    /// Which region takes over from which.
    pub(crate) fn failover(&self) -> &'a [LocalityFailover] {
        match self {
            Self::Locality(l) => &l.failover,
            Self::ZoneAware(z) => &z.failover,
            Self::None | Self::Distribution(_) => &[],
        }
    }

    /// Whether the cluster weighs localities.
    pub(crate) fn weighs_localities(&self, outlier_detection: bool) -> bool {
        let listed = match self {
            Self::None | Self::ZoneAware(_) => return false,
            Self::Locality(l) if !l.distribute.is_empty() => return true,
            Self::Locality(l) => !l.failover.is_empty() || !l.failover_priority.is_empty(),
            Self::Distribution(_) => true,
        };
        listed && self.prioritises(outlier_detection)
    }
}
