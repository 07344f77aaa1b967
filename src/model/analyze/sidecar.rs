//! Sidecars of which an older one is taken, and ports that workloads do not listen on.

use api::istio::Sidecar;

use super::Subject;
use super::ports::only_of_service;
use crate::config::Labels;
use crate::mesh::Mesh;
use crate::validate::Check;

pub(super) fn sidecar(check: &mut Check, sidecar: &Sidecar, subject: Subject<'_>, mesh: &Mesh) {
    let labels = labels(sidecar);
    let twin = mesh.sidecars.of_namespace(subject.namespace()).iter().find(|other| {
        subject.loses_to(&other.source.key, other.creation) && self::labels(&other.spec) == labels
    });
    if let Some(twin) = twin {
        let (field, whom) = match labels {
            Some(_) => ("workloadSelector", "workloads with these labels"),
            None => ("", "all workloads of the namespace"),
        };
        check.warning(
            field,
            format!("{} is older and for {whom} too: this Sidecar has no effect", twin.source.key),
            "put what both say into one of them, and delete the other",
        );
    }
    let none = Labels::new();
    for (index, listener) in sidecar.ingress.iter().enumerate() {
        let Some(number) = listener.port.as_ref().and_then(|port| u16::try_from(port.number).ok()) else {
            continue;
        };
        // With an endpoint of its own the port need not be the workload's.
        if !listener.default_endpoint.is_empty() {
            continue;
        }
        let selector = labels.unwrap_or(&none);
        if let Some((service, target)) = only_of_service(number, subject.namespace(), selector, mesh) {
            let message =
                format!("{number} is a port of {}, whose workloads listen on {target}", service.source.key);
            let hint = format!("write {target}, or name it in defaultEndpoint");
            check.warning(&format!("ingress[{index}].port.number"), message, hint);
        }
    }
}

/// The labels that it selects by; none for all workloads of its namespace.
fn labels(sidecar: &Sidecar) -> Option<&Labels> {
    sidecar.workload_selector.as_ref().map(|selector| &selector.labels).filter(|labels| !labels.is_empty())
}
