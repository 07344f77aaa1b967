//! Ports that are named on the wrong side: policies are for the ports that workloads listen on, not those of services.

use std::fmt::Display;

use crate::config::Labels;
use crate::mesh::Mesh;
use crate::service::{Registry, Service, TargetPort};

/// The service and the workload's port that are meant, if a number that is meant for a port of the workloads of
/// `namespace` that have these labels is one of a service in front of them only.
pub(super) fn only_of_service<'m>(
    number: u16,
    namespace: &str,
    selector: &Labels,
    mesh: &'m Mesh,
) -> Option<(&'m Service, u16)> {
    let services = mesh.services.of_namespace(namespace)?;
    let behind = || services.iter().filter(|service| is_before(service, selector));
    let listens = |service: &Service| {
        service.ports.iter().any(|port| match &port.target {
            TargetPort::Number(target) => *target == number,
            // Which number it has depends on the pod.
            TargetPort::Name(_) => true,
        })
    };
    if behind().any(|service| listens(service)) {
        return None;
    }
    behind().find_map(|service| match service.port(number)?.target {
        TargetPort::Number(target) => Some((&**service, target)),
        TargetPort::Name(_) => None,
    })
}

/// Whether two selectors may select the same workload; none selects all.
pub(super) fn agree(one: Option<&Labels>, other: Option<&Labels>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    one.iter().all(|(key, value)| other.get(key).is_none_or(|own| own == value))
}

/// Whether a service may stand before workloads that have these labels.
pub(super) fn is_before(service: &Service, labels: &Labels) -> bool {
    let agrees = |selector: &Labels| !selector.is_empty() && agree(Some(selector), Some(labels));
    service.registry == Registry::Kubernetes && service.selector.as_ref().is_some_and(agrees)
}

/// `1, 2 and 3`.
pub(super) fn listed<T: Display>(items: impl Iterator<Item = T>) -> String {
    let mut items: Vec<String> = items.map(|item| item.to_string()).collect();
    match items.pop() {
        None => "none".to_owned(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}
