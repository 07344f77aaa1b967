//! Peer authentication: whether a workload's ports take mesh mTLS, plain text, or both.
//!
//! Source: Istio `pilot/pkg/security/authn/policy_applier.go`, `pilot/pkg/model/authentication.go`;
//! `shared/spec/security.md` 6.1.

use std::collections::BTreeMap;

use api::ObjectRef;
use api::istio::{MutualTls, MutualTlsMode, PeerAuthentication, Unread};
use model::config::selects;
use model::{Config, Labels, Mesh, Ref};

/// What a port takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Plain text only.
    Disable,
    /// Plain text and mesh mTLS.
    #[default]
    Permissive,
    /// Mesh mTLS only.
    Strict,
}

/// What the PeerAuthentications of a mesh mean for one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effective {
    /// The mode of every port that is not in `ports`.
    pub mode: Mode,
    /// Modes of single ports of the workload (target ports).
    pub ports: BTreeMap<u16, Mode>,
    /// The policies that decide.
    pub sources: Vec<ObjectRef>,
}

impl Effective {
    /// The mode of a port of the workload.
    pub fn of_port(&self, port: u16) -> Mode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

/// The policy type, as the mesh keeps it.
type Policy = Ref<Config<PeerAuthentication>>;

/// The mode of a port of a workload; without a port that of the workload. `labels` are the workload's.
pub fn mode(mesh: &Mesh, namespace: &str, labels: &Labels, port: Option<u16>) -> Mode {
    let general = namespace_mode(mesh, namespace);
    let Some(policy) = of_workload(mesh, namespace, labels) else { return general };
    let of_workload = said(policy.spec.mtls.as_ref()).unwrap_or(general);
    let of_port = port.and_then(|p| policy.spec.port_level_mtls.get(&u32::from(p)));
    of_port.and_then(|m| said(Some(m))).unwrap_or(of_workload)
}

/// The mode of a namespace, whatever single workloads and ports say: what clients assume of its services.
pub fn namespace_mode(mesh: &Mesh, namespace: &str) -> Mode {
    general(mesh, namespace).into_iter().find_map(|p| said(p.spec.mtls.as_ref())).unwrap_or_default()
}

/// All that holds for one workload.
pub fn effective(mesh: &Mesh, namespace: &str, labels: &Labels) -> Effective {
    let workload = of_workload(mesh, namespace, labels);
    let mode = mode(mesh, namespace, labels, None);
    let ports = workload.map(|policy| {
        let numbered = policy.spec.port_level_mtls.iter();
        let known = numbered.filter_map(|(port, m)| Some((u16::try_from(*port).ok()?, m)));
        known.map(|(port, m)| (port, said(Some(m)).unwrap_or(mode))).collect()
    });
    let sources = workload.into_iter().chain(general(mesh, namespace)).map(|p| p.source.clone()).collect();
    Effective { mode, ports: ports.unwrap_or_default(), sources }
}

/// The mode that a policy names; `None` if it leaves it to the next wider one.
fn said(mtls: Option<&MutualTls>) -> Option<Mode> {
    match mtls?.mode {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(Mode::Disable),
        MutualTlsMode::Permissive => Some(Mode::Permissive),
        MutualTlsMode::Strict => Some(Mode::Strict),
    }
}

/// The policies of the namespace and of the mesh, the narrower first; the oldest of each counts.
fn general<'a>(mesh: &'a Mesh, namespace: &str) -> Vec<&'a Policy> {
    let root = mesh.settings.mesh.root_namespace.as_str();
    let whole = |ns: &str| mesh.peer_authentications.of_namespace(ns).iter().find(|p| !has_selector(p));
    let own = if namespace == root { None } else { whole(namespace) };
    own.into_iter().chain(whole(root)).collect()
}

/// The oldest policy whose selector matches the workload, or may match it, which nobody knows of one that cannot be read.
/// Selectors in the root namespace do not count.
fn of_workload<'a>(mesh: &'a Mesh, namespace: &str, labels: &Labels) -> Option<&'a Policy> {
    if namespace == mesh.settings.mesh.root_namespace {
        return None;
    }
    let of_namespace = mesh.peer_authentications.of_namespace(namespace);
    of_namespace.iter().find(|p| {
        let selects = || p.spec.selector.as_ref().is_some_and(|s| selects(&s.match_labels, labels));
        p.spec.unread == Unread::Scope || (has_selector(p) && selects())
    })
}

fn has_selector(policy: &Policy) -> bool {
    policy.spec.selector.as_ref().is_some_and(|s| !s.match_labels.is_empty())
}

#[cfg(test)]
mod tests;
