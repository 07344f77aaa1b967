//! The scope of a class in the next mesh, from the one that it has: only what reads something that changed is made
//! again.
//!
//! A scope reads the Sidecar that applies, the services that the namespace sees, and of the VirtualServices that it
//! sees what they are for (hosts, gateways, who sees them) and where they send requests.

use model::config::Creation;
use model::mesh::VirtualServiceEntry;
use model::visibility::ExportTo;
use model::{Mesh, ProxyKind, Ref};

use super::{EgressListener, Scope, declared, plan, seen, select, union, virtual_services};
use crate::class::SharedView;

/// The scope of a class in `mesh`, if it is `last` in the mesh `before`: equal to what [`plan`] gives. If nothing that
/// it reads changed, `last` itself comes back.
pub fn replan(mesh: &Mesh, view: &SharedView, last: &Ref<Scope>, before: &Mesh) -> Ref<Scope> {
    let next = if select(mesh, view) != last.sidecar || !sees_same_services(mesh, view, before) {
        plan(mesh, view)
    } else {
        match Rules::between(mesh, view, last, before) {
            Rules::Same => return last.clone(),
            Rules::Lists(egress) => Scope { egress, ..Scope::clone(last) },
            Rules::Services => plan(mesh, view),
        }
    };
    if next == **last { last.clone() } else { Ref::new(next) }
}

/// Whether no service differs that the class sees, or that its own namespace has: VirtualServices may send requests to
/// these, be they exported or not.
fn sees_same_services(mesh: &Mesh, view: &SharedView, before: &Mesh) -> bool {
    let (gone, came) = before.services.difference(&mesh.services);
    let client = &view.namespace;
    !gone.iter().chain(&came).any(|s| s.namespace == *client || s.export_to.visible_to(client))
}

/// What VirtualServices that changed change of a scope.
enum Rules {
    /// Nothing.
    Same,
    /// The lists of its listeners.
    Lists(Vec<EgressListener>),
    /// Perhaps also its services.
    Services,
}

impl Rules {
    fn between(mesh: &Mesh, view: &SharedView, last: &Scope, before: &Mesh) -> Self {
        let (gone, came) = before.virtual_services.difference(&mesh.virtual_services);
        if !gone.iter().chain(&came).any(|v| v.export_to.visible_to(&view.namespace)) {
            return Self::Same;
        }
        let declared = declared(last.sidecar.as_deref());
        let egress: Vec<_> = last
            .egress
            .iter()
            .zip(declared)
            .map(|(listener, declared)| EgressListener {
                virtual_services: Ref::new(virtual_services(mesh, view, declared)),
                ..listener.clone()
            })
            .collect();
        if egress == last.egress {
            return Self::Same;
        }
        if view.kind == ProxyKind::Sidecar {
            let adds = |entries: Vec<_>, egress: &[EgressListener]| added(mesh, view, last, entries, egress);
            if adds(gone, &last.egress) != adds(came, &egress) {
                return Self::Services;
            }
        }
        Self::Lists(egress)
    }
}

/// A destination for which a scope may have a service that no listener imports, with all that decides when it is
/// looked at.
type Added<'a> = (Place<'a>, &'a str, u32);

/// What puts a VirtualService where it is in the lists of listeners.
type Place<'a> = ((&'a str, &'a str, Creation), (&'a ExportTo, bool), (&'a [String], &'a [String]));

/// The destinations of those entries that are among the listeners' as far as they may add a service, in order.
fn added<'a>(
    mesh: &Mesh,
    view: &'a SharedView,
    last: &Scope,
    entries: Vec<&'a Ref<VirtualServiceEntry>>,
    egress: &[EgressListener],
) -> Vec<Added<'a>> {
    let client = &*view.namespace;
    let listed =
        |entry: &&Ref<VirtualServiceEntry>| egress.iter().any(|l| l.virtual_services.contains(entry));
    let mut added = Vec::new();
    for entry in entries.into_iter().filter(listed) {
        for destination in union::destinations(&entry.config.spec, client) {
            let host = destination.host.as_str();
            if !last.imports_whole(host) && seen::destination(mesh, host, client).is_some() {
                added.push((place(entry), host, destination.port.as_ref().map_or(0, |p| p.number)));
            }
        }
    }
    added
}

fn place(entry: &VirtualServiceEntry) -> Place<'_> {
    let (config, spec) = (&entry.config, &entry.config.spec);
    let object = (&**config.namespace(), &**config.name(), config.creation);
    (object, (&entry.export_to, entry.has_gateway_semantics()), (&spec.hosts, &spec.gateways))
}

impl Scope {
    /// Whether the listeners import all ports of the service of a host, so that destinations add nothing to it.
    fn imports_whole(&self, host: &str) -> bool {
        let whole = |listener: &EgressListener| {
            listener.index.is_none()
                || listener.services.iter().all(|s| *s.service.host != *host || s.ports.is_none())
        };
        self.by_host.get(host).is_some_and(|at| *at < self.imported) && self.egress.iter().all(whole)
    }
}
