//! What a workload serves: the service ports that it is an endpoint of, and the ports that its proxy takes.
//!
//! Source: Istio `pilot/pkg/serviceregistry/kube/controller/controller.go`, `serviceentry/controller.go`;
//! `shared/spec/xds.md` 1.3, `shared/spec/kubernetes.md` 2.7.

mod ports;
mod registered;
mod selected;

use std::sync::Arc;

use model::mesh::{Changes, Mesh, Pod};
use model::service::{Registry, Resolution, Service, ServicePort};
use model::{Ref, config};

use crate::class::OwnView;

pub use ports::{InboundPort, Ingress, Ports, inbound_ports};

/// A port of a service that the workload is an endpoint of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The service.
    pub service: Ref<Service>,
    /// Its port.
    pub port: ServicePort,
    /// The port that the workload listens on.
    pub number: u16,
}

impl Target {
    fn new(service: &Ref<Service>, port: &ServicePort, number: u16) -> Self {
        Self { service: service.clone(), port: port.clone(), number }
    }
}

/// The service ports that a workload serves, of older services first.
pub fn targets(mesh: &Mesh, view: &OwnView) -> Vec<Target> {
    let mut found = of_kubernetes(mesh, view);
    found.extend(registered::of_service_entries(mesh, view));
    found.sort_by(|a, b| {
        let by_age = config::by_age(a.service.creation, b.service.creation);
        by_age.then_with(|| a.service.host.cmp(&b.service.host))
    });
    found
}

/// Those of Kubernetes Services: by the workload's own entry, its pod, the slices that name it, or, while its pod
/// is not known, by what its metadata say.
fn of_kubernetes(mesh: &Mesh, view: &OwnView) -> Vec<Target> {
    if let Some(entry) = registered::own_entry(mesh, view) {
        return registered::of_entry(mesh, view, entry);
    }
    match own_pod(mesh, view) {
        Some(pod) => {
            let of_pod = selected::of_pod(mesh, view, pod);
            if of_pod.is_empty() { registered::of_slices(mesh, view) } else { of_pod }
        }
        None => selected::of_metadata(mesh, view),
    }
}

/// Whether changed endpoints may change what a workload serves or is hidden from it: those of services that know
/// their workloads by address, or all while no service selects the workload.
pub fn concerns(mesh: &Mesh, view: &OwnView, changes: &Changes) -> bool {
    let namespace = &view.shared.namespace;
    let own: Vec<_> = changes.endpoints.iter().filter(|(_, ns)| ns == namespace).collect();
    if own.is_empty() {
        return false;
    }
    let known_by_address = |s: &Service| {
        s.registry == Registry::External || s.selector.is_none() || s.resolution == Resolution::Passthrough
    };
    let touches = |host: &Arc<str>| {
        let services = mesh.services.of_host(host).iter().filter(|s| s.namespace == *namespace);
        let mut own = services.filter_map(|s| mesh.service_in(&view.shared.cluster_id, s));
        own.any(|s| known_by_address(s))
    };
    let selected = || own_pod(mesh, view).is_none_or(|pod| !selected::of_pod(mesh, view, pod).is_empty());
    own.iter().any(|(host, _)| touches(host)) || !selected()
}

fn own_pod<'a>(mesh: &'a Mesh, view: &OwnView) -> Option<&'a Ref<Pod>> {
    mesh.pod(&view.shared.cluster_id, &view.shared.namespace, &view.pod)
}

/// The services of the workload's namespace as its cluster has them, oldest first. A cluster that is not known has no
/// Kubernetes Services.
fn services<'a>(mesh: &'a Mesh, view: &'a OwnView) -> impl Iterator<Item = &'a Ref<Service>> {
    let all = mesh.services.of_namespace(&view.shared.namespace);
    let all = all.map(|list| list.as_slice()).unwrap_or_default();
    all.iter().filter_map(|service| mesh.service_in(&view.shared.cluster_id, service))
}
