//! What of a proxy the mesh's objects look at.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::istio::{DestinationRule, LoadBalancerSettings};
use model::mesh::{DestinationRules, Interest, Settings, Sidecars, VirtualServiceEntry};
use model::service::{Service, TrafficDistribution};
use model::{Mesh, Ref};

/// What each section of the mesh looks at, kept while the section stays the same allocation.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    settings: Interest,
    services: Interest,
    virtual_services: Interest,
    destination_rules: Interest,
    sidecars: Interest,
}

impl Interests {
    /// Of an empty mesh.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { settings: of_settings(settings), ..Self::default() }
    }

    /// The union over all sections of `mesh`, which comes after `last`.
    pub(crate) fn update(&mut self, last: &Mesh, mesh: &Mesh) -> Interest {
        if mesh.settings != last.settings {
            self.settings = of_settings(&mesh.settings);
        }
        if !Arc::ptr_eq(&mesh.services, &last.services) {
            self.services = of_services(mesh.services.all());
        }
        if !Arc::ptr_eq(&mesh.virtual_services, &last.virtual_services) {
            self.virtual_services = of_virtual_services(mesh.virtual_services.all());
        }
        if !Arc::ptr_eq(&mesh.destination_rules, &last.destination_rules) {
            self.destination_rules = of_destination_rules(&mesh.destination_rules);
        }
        if !Arc::ptr_eq(&mesh.sidecars, &last.sidecars) {
            self.sidecars = of_sidecars(&mesh.sidecars);
        }
        let all =
            [&self.settings, &self.services, &self.virtual_services, &self.destination_rules, &self.sidecars];
        Interest {
            label_keys: all.iter().flat_map(|i| i.label_keys.iter().cloned()).collect(),
            locality: all.iter().any(|i| i.locality),
        }
    }
}

fn of_sidecars(sidecars: &Sidecars) -> Interest {
    let selectors = sidecars.iter().filter_map(|s| s.spec.workload_selector.as_ref());
    let label_keys = selectors.flat_map(|s| s.labels.keys().cloned()).collect();
    Interest { label_keys, locality: false }
}

fn of_virtual_services(entries: &[Ref<VirtualServiceEntry>]) -> Interest {
    let mut keys = BTreeSet::new();
    for entry in entries {
        let spec = &entry.config.spec;
        let http = spec.http.iter().flat_map(|r| &r.r#match).flat_map(|m| m.source_labels.keys());
        let tcp = spec.tcp.iter().flat_map(|r| &r.r#match).flat_map(|m| m.source_labels.keys());
        let tls = spec.tls.iter().flat_map(|r| &r.r#match).flat_map(|m| m.source_labels.keys());
        keys.extend(http.chain(tcp).chain(tls).cloned());
    }
    Interest { label_keys: keys, locality: false }
}

fn of_destination_rules(rules: &DestinationRules) -> Interest {
    let mut interest = Interest::default();
    for rule in rules.all() {
        let keys = &mut interest.label_keys;
        keys.extend(rule.selector().into_iter().flat_map(|s| s.keys().cloned()));
        for (balancer, outliers) in policies(&rule.rule.spec) {
            interest.locality |= outliers;
            let Some(balancer) = balancer else { continue };
            if let Some(zones) = &balancer.zone_aware_lb_setting {
                interest.locality = true;
                keys.extend(zones.failover_priority.iter().map(|l| label_of(l).to_owned()));
            }
            if let Some(locality) = &balancer.locality_lb_setting {
                interest.locality = true;
                keys.extend(locality.failover_priority.iter().map(|l| label_of(l).to_owned()));
            }
        }
    }
    interest
}

fn of_settings(settings: &Settings) -> Interest {
    let mut interest = Interest::default();
    for setting in settings.mesh.locality_lb_setting.iter() {
        interest.label_keys.extend(setting.failover_priority.iter().map(|l| label_of(l).to_owned()));
        interest.locality |= !setting.distribute.is_empty() || !setting.failover.is_empty();
        interest.locality |= !setting.failover_priority.is_empty();
    }
    for setting in settings.mesh.zone_aware_lb_setting.iter() {
        interest.label_keys.extend(setting.failover_priority.iter().map(|l| label_of(l).to_owned()));
        interest.locality = true;
    }
    interest.locality |= settings.mesh.default_traffic_policy.is_some();
    interest
}

fn of_services(services: &[Ref<Service>]) -> Interest {
    if services.iter().all(|s| s.traffic_distribution == TrafficDistribution::Any) {
        return Interest::default();
    }
    let label_keys = TOPOLOGY_LABELS.iter().map(|l| (*l).to_owned()).collect();
    Interest { label_keys, locality: true }
}

/// Load balancing, and whether there is outlier detection, of each policy of a rule: of the host, its ports and
/// its subsets.
fn policies(rule: &DestinationRule) -> impl Iterator<Item = (Option<&LoadBalancerSettings>, bool)> {
    let subsets = rule.subsets.iter().filter_map(|s| s.traffic_policy.as_ref());
    rule.traffic_policy.iter().chain(subsets).flat_map(|policy| {
        let own = (policy.load_balancer.as_ref(), policy.outlier_detection.is_some());
        let ports = policy.port_level_settings.iter();
        let ports = ports.map(|p| (p.load_balancer.as_ref(), p.outlier_detection.is_some()));
        std::iter::once(own).chain(ports)
    })
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
