//! What of a proxy the mesh's objects look at.

use api::istio::{DestinationRule, LoadBalancerSettings};
use model::Mesh;
use model::mesh::Interest;
use model::service::TrafficDistribution;

/// The union over all objects of the mesh.
pub(crate) fn of(mesh: &Mesh) -> Interest {
    let mut interest = Interest::default();
    let keys = &mut interest.label_keys;
    for sidecar in mesh.sidecars.iter() {
        keys.extend(sidecar.spec.workload_selector.iter().flat_map(|s| s.labels.keys().cloned()));
    }
    for entry in mesh.virtual_services.all() {
        let spec = &entry.config.spec;
        keys.extend(spec.http.iter().flat_map(|r| &r.r#match).flat_map(|m| m.source_labels.keys().cloned()));
        keys.extend(spec.tcp.iter().flat_map(|r| &r.r#match).flat_map(|m| m.source_labels.keys().cloned()));
        keys.extend(spec.tls.iter().flat_map(|r| &r.r#match).flat_map(|m| m.source_labels.keys().cloned()));
    }
    for rule in mesh.destination_rules.all() {
        keys.extend(rule.selector().into_iter().flat_map(|s| s.keys().cloned()));
        for (balancer, outliers) in policies(&rule.rule.spec) {
            interest.locality |= outliers;
            let Some(balancer) = balancer else { continue };
            interest.locality |= balancer.zone_aware_lb_setting.is_some();
            if let Some(locality) = &balancer.locality_lb_setting {
                interest.locality = true;
                keys.extend(locality.failover_priority.iter().map(|l| label_of(l).to_owned()));
            }
        }
    }
    let mesh_locality = mesh.settings.mesh.locality_lb_setting.iter();
    for setting in mesh_locality {
        keys.extend(setting.failover_priority.iter().map(|l| label_of(l).to_owned()));
        interest.locality |= !setting.distribute.is_empty() || !setting.failover.is_empty();
        interest.locality |= !setting.failover_priority.is_empty();
    }
    interest.locality |= mesh.settings.mesh.zone_aware_lb_setting.is_some();
    interest.locality |= mesh.settings.mesh.default_traffic_policy.is_some();
    if mesh.services.all().iter().any(|s| s.traffic_distribution != TrafficDistribution::Any) {
        interest.locality = true;
        keys.extend(TOPOLOGY_LABELS.iter().map(|l| (*l).to_owned()));
    }
    interest
}

/// Load balancing, and whether there is outlier detection, of each policy of a rule: of the host, its ports and
/// its subsets.
fn policies(rule: &DestinationRule) -> Vec<(Option<&LoadBalancerSettings>, bool)> {
    let subsets = rule.subsets.iter().filter_map(|s| s.traffic_policy.as_ref());
    let mut found = Vec::new();
    for policy in rule.traffic_policy.iter().chain(subsets) {
        found.push((policy.load_balancer.as_ref(), policy.outlier_detection.is_some()));
        let ports = policy.port_level_settings.iter();
        found.extend(ports.map(|p| (p.load_balancer.as_ref(), p.outlier_detection.is_some())));
    }
    found
}

/// Labels that a preference for near endpoints compares.
const TOPOLOGY_LABELS: [&str; 5] = [
    "topology.istio.io/network",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
];

/// The label of a `failoverPriority` entry, which is `label` or `label=value`.
fn label_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(label, _)| label)
}
