//! Where a rule leads: whether the service, its port and the subset are there for those who apply the rule.

use api::istio::Destination;

use super::Subject;
use super::ports::listed;
use crate::hostname::resolve_short;
use crate::mesh::Mesh;
use crate::service::{Resolution, Service, TargetPort};
use crate::validate::Check;

/// Looks at a destination; `check` stands at it.
pub(super) fn destination(check: &mut Check, to: &Destination, subject: Subject<'_>, mesh: &Mesh) {
    let host = resolve_short(&to.host, subject.namespace(), &mesh.settings.domain);
    let Some(service) = mesh.services.visible(&host, subject.namespace()) else {
        if !host.is_empty() {
            let (message, hint) = unknown_host(&host, subject, mesh);
            check.warning("host", format!("{message}; requests to it fail"), hint);
        }
        return;
    };
    // An alias has the ports and subsets of what it leads to.
    if service.resolution == Resolution::Alias {
        return;
    }
    if let Some(port) = &to.port {
        known_port(check, service, port.number);
    }
    if !to.subset.is_empty() {
        known_subset(check, &to.subset, service, subject, mesh);
    }
}

/// Why a host is not known in a namespace, and what to do.
pub(super) fn unknown_host(host: &str, subject: Subject<'_>, mesh: &Mesh) -> (String, String) {
    let namespace = subject.namespace();
    match mesh.services.of_host(host).first() {
        Some(hidden) => (
            format!("{} has host {host:?}, but is not exported to namespace {namespace}", hidden.source.key),
            format!("add {namespace:?} to its exportTo"),
        ),
        None => (
            format!("no Service or ServiceEntry has host {host:?}"),
            if host.matches('.').count() == 1 {
                format!("define it, or write the full name: is {host}.svc.{} meant?", mesh.settings.domain)
            } else {
                "define it, or name another host".to_owned()
            },
        ),
    }
}

fn known_port(check: &mut Check, service: &Service, number: u32) {
    let wanted = u16::try_from(number).unwrap_or(0);
    if service.port(wanted).is_some() {
        return;
    }
    let behind = service.ports.iter().find(|port| port.target == TargetPort::Number(wanted));
    let hint = match behind {
        Some(port) => {
            format!("{number} is where its workloads listen: write the service's port, {}", port.number)
        }
        None => format!("its ports are {}", listed(service.ports.iter().map(|port| port.number))),
    };
    let message = format!("{} has no port {number}; requests to it fail", service.source.key);
    check.warning("port.number", message, hint);
}

fn known_subset(check: &mut Check, subset: &str, service: &Service, subject: Subject<'_>, mesh: &Mesh) {
    let root = &mesh.settings.mesh.root_namespace;
    let rules = &mesh.destination_rules;
    let in_force: Vec<_> =
        rules.in_force(subject.namespace(), &service.host, &service.namespace, root).collect();
    if in_force.iter().any(|rule| rule.rule.spec.subsets.iter().any(|known| known.name == subset)) {
        return;
    }
    let (message, hint) = match in_force.first() {
        Some(rule) => {
            let key = &rule.rule.source.key;
            (
                format!("{key}, which is in force for {}, has no subset {subset:?}", service.host),
                format!("add the subset to {key}, or name one that is there"),
            )
        }
        None => (
            format!(
                "no DestinationRule is in force here for {}, so there is no subset {subset:?}",
                service.host
            ),
            "define the subset in a DestinationRule, or leave it out".to_owned(),
        ),
    };
    check.warning("subset", format!("{message}; requests to it fail"), hint);
}
