//! Policies of which an older one is taken, and policies for ports that workloads do not listen on.

use api::istio::{MatchLabels, PeerAuthentication};

use super::Subject;
use super::ports::only_of_service;
use crate::config::Labels;
use crate::mesh::Mesh;
use crate::validate::Check;

pub(super) fn peer_authentication(
    check: &mut Check,
    policy: &PeerAuthentication,
    subject: Subject<'_>,
    mesh: &Mesh,
) {
    let selected = labels(policy.selector.as_ref());
    let twin = mesh.peer_authentications.of_namespace(subject.namespace()).iter().find(|other| {
        subject.loses_to(&other.source.key, other.creation)
            && labels(other.spec.selector.as_ref()) == selected
    });
    if let Some(twin) = twin {
        let (field, whom) = match selected {
            Some(_) => ("selector", "workloads with these labels"),
            None if subject.namespace() == mesh.settings.mesh.root_namespace => ("", "the whole mesh"),
            None => ("", "the whole namespace"),
        };
        check.warning(
            field,
            format!("{} is older and for {whom} too: this policy has no effect", twin.source.key),
            "put what both say into one of them, and delete the other",
        );
    }
    for number in policy.port_level_mtls.keys() {
        let field = format!("portLevelMtls[{number}]");
        port(check, &field, *number, selected, subject, mesh);
    }
}

/// A port that a policy names is one that workloads listen on.
pub(super) fn port(
    check: &mut Check,
    field: &str,
    number: u32,
    selected: Option<&Labels>,
    subject: Subject<'_>,
    mesh: &Mesh,
) {
    // Of a policy for the whole mesh it cannot be said whose port is meant.
    let (Some(selected), Ok(number)) = (selected, u16::try_from(number)) else { return };
    if let Some((service, target)) = only_of_service(number, subject.namespace(), selected, mesh) {
        let message = format!(
            "policies are for the ports of workloads; {number} is a port of {}, whose workloads listen on {target}",
            service.source.key
        );
        check.warning(field, message, format!("write {target}"));
    }
}

/// The labels that it selects by; none for all workloads of its namespace.
pub(super) fn labels(selector: Option<&MatchLabels>) -> Option<&Labels> {
    selector.map(|selector| &selector.match_labels).filter(|labels| !labels.is_empty())
}
