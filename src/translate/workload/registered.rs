//! Services that know a workload by its address: through its WorkloadEntry, slices, or ServiceEntries.

use std::net::IpAddr;
use std::sync::Arc;

use api::istio::WorkloadEntry;
use model::config::selects;
use model::endpoint::{Address, Endpoint};
use model::mesh::Mesh;
use model::protocol::Protocol;
use model::service::{Registry, Resolution, Service, TargetPort};
use model::{Config, Labels, Ref};

use super::{Target, services};
use crate::class::OwnView;

/// The workload's own entry: the oldest of its namespace at its first address.
pub(super) fn own_entry<'a>(mesh: &'a Mesh, view: &OwnView) -> Option<&'a Config<WorkloadEntry>> {
    let address = view.addresses.first()?;
    let workloads = mesh.workloads_in(&view.shared.cluster_id)?;
    let entries = workloads.entries_of(&view.shared.namespace);
    entries.iter().find(|e| e.spec.address.parse() == Ok(*address)).map(|e| &**e)
}

/// The ports of the Services that select an entry. Only services with a cluster IP select entries.
pub(super) fn of_entry(mesh: &Mesh, view: &OwnView, entry: &Config<WorkloadEntry>) -> Vec<Target> {
    let mut labels: Labels = entry.spec.labels.clone();
    labels.extend(entry.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
    let chosen = |s: &&Ref<Service>| {
        s.registry == Registry::Kubernetes
            && s.resolution == Resolution::ClientSide
            && s.selector.as_ref().is_some_and(|selector| selects(selector, &labels))
    };
    let mut found = Vec::new();
    for service in services(mesh, view).filter(chosen) {
        for port in service.ports.iter().filter(|p| p.protocol != Protocol::Udp) {
            let named = |name: &str| {
                entry.spec.ports.get(name).and_then(|n| u16::try_from(*n).ok()).filter(|n| *n != 0)
            };
            let number = match &port.target {
                TargetPort::Name(target) => named(target),
                TargetPort::Number(number) => named(&port.name).or(Some(*number)),
            };
            found.extend(number.map(|number| Target::new(service, port, number)));
        }
    }
    found
}

/// The ports of the Services whose slices hold one of the workload's addresses.
pub(super) fn of_slices(mesh: &Mesh, view: &OwnView) -> Vec<Target> {
    by_address(mesh, view, Registry::Kubernetes)
}

/// The ports of the ServiceEntries whose endpoints are at one of the workload's addresses.
pub(super) fn of_service_entries(mesh: &Mesh, view: &OwnView) -> Vec<Target> {
    by_address(mesh, view, Registry::External)
}

fn by_address(mesh: &Mesh, view: &OwnView, registry: Registry) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for service in services(mesh, view).filter(|s| s.registry == registry) {
        let Some(all) = mesh.endpoints.of(service) else { continue };
        // Pods of clusters on other networks may have the same addresses.
        let own = |e: &&Endpoint| {
            registry == Registry::External || same_cluster(mesh, &e.workload.cluster, &view.shared.cluster_id)
        };
        for endpoint in all.endpoints.iter().filter(own).filter(|e| is_at(e, &view.addresses)) {
            let port = service.ports.iter().find(|p| p.name == endpoint.port_name);
            let Some(port) = port else { continue };
            let target = Target::new(service, port, endpoint.port);
            if !found.contains(&target) {
                found.push(target);
            }
        }
    }
    found
}

fn same_cluster(mesh: &Mesh, one: &str, other: &str) -> bool {
    one == other || (mesh.is_home(one) && mesh.is_home(other))
}

fn is_at(endpoint: &Endpoint, addresses: &[IpAddr]) -> bool {
    let own = |ip: &Arc<str>| ip.parse().is_ok_and(|ip| addresses.contains(&ip));
    let first = match &endpoint.address {
        Address::Ip(ip) => own(ip),
        Address::Host(_) | Address::Pipe(_) => false,
    };
    first || endpoint.additional.iter().any(own)
}
