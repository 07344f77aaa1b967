//! Services that select a workload by its labels.

use model::config::selects;
use model::mesh::{Mesh, Pod};
use model::service::{Registry, Service, TargetPort};
use model::{Labels, Ref};

use super::{Target, services};
use crate::class::OwnView;

/// The ports of the Services that select a pod. A named target counts only if a container declares the name.
pub(super) fn of_pod(mesh: &Mesh, view: &OwnView, pod: &Pod) -> Vec<Target> {
    let named = |name: &str| pod.ports.iter().find(|p| *p.name == *name).map(|p| p.number);
    of(mesh, view, &pod.workload.labels, named)
}

/// The same for a pod that is not known yet, by the labels and the ports that its metadata name.
pub(super) fn of_metadata(mesh: &Mesh, view: &OwnView) -> Vec<Target> {
    if view.labels.is_empty() {
        return Vec::new();
    }
    let named = |name: &str| view.pod_ports.iter().find(|(n, _)| n == name).map(|(_, port)| *port);
    of(mesh, view, &view.labels, named)
}

fn of(mesh: &Mesh, view: &OwnView, labels: &Labels, named: impl Fn(&str) -> Option<u16>) -> Vec<Target> {
    let chosen = |s: &&Ref<Service>| {
        s.registry == Registry::Kubernetes && s.selector.as_ref().is_some_and(|s| selects(s, labels))
    };
    let mut found = Vec::new();
    for service in services(mesh, view).filter(chosen) {
        of_service(service, &named, &mut found);
    }
    found
}

/// The ports of one Service; of several with the same target and protocol the first counts.
fn of_service(service: &Ref<Service>, named: &impl Fn(&str) -> Option<u16>, found: &mut Vec<Target>) {
    let first = found.len();
    for port in &service.ports {
        let number = match &port.target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => named(name),
        };
        let Some(number) = number else { continue };
        let own = found.get(first..).unwrap_or_default();
        if !own.iter().any(|t| t.number == number && t.port.protocol == port.protocol) {
            found.push(Target::new(service, port, number));
        }
    }
}
