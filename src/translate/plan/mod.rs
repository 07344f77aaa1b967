//! Plans: for a class of proxies, the name and the key of every resource that is sent.
//!
//! A plan keeps the sections of the mesh that it was made from. When the next mesh comes, only the parts whose
//! inputs are other allocations are planned again, and a part that comes out equal stays the old allocation.

mod hold;
mod own;
mod secrets;
mod shared;
pub(crate) mod upstreams;

use std::sync::Arc;

use api::Problem;
use model::mesh::Changes;
use model::{Mesh, Ref};

use crate::class::{Class, SharedView};
use crate::key::Entries;
use crate::routes::sidecar::Base;
use crate::scope::{self, Scope};

/// The resources of one class, by kind.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Clusters.
    pub clusters: Entries,
    /// Load assignments, one for each EDS cluster.
    pub endpoints: Entries,
    /// Listeners.
    pub listeners: Entries,
    /// Route configurations, one for each name that a listener asks for.
    pub routes: Entries,
    /// The table of names; nothing where that of the layer below is right.
    pub names: Entries,
    /// What peers trust; nothing where a layer below has it.
    pub trusted: Entries,
    /// All secrets that the class may have.
    pub secrets: Entries,
    /// Clusters of lower layers that this class must not have.
    pub hidden_clusters: Arc<[Arc<str>]>,
    /// Assignments of lower layers that this class must not have.
    pub hidden_endpoints: Arc<[Arc<str>]>,
    /// Listeners of lower layers that this class must not have.
    pub hidden_listeners: Arc<[Arc<str>]>,
    /// Whether a virtual host keeps its last form, because its new one names what does not exist.
    pub holding: bool,
    /// What is left out of it, and why.
    pub problems: Arc<[Problem]>,
    /// What classes above it take from it, if it is of the lowest layer.
    common: Option<Common>,
    /// What it was made from.
    mesh: Mesh,
    /// What the class sees of it.
    scope: Ref<Scope>,
}

/// What the classes of all namespaces take from the class below them.
#[derive(Clone, Debug)]
struct Common {
    view: Ref<SharedView>,
    /// The route configurations that they differ from, if such proxies have any.
    routes: Option<Base>,
}

impl Plan {
    /// Whether it is of the class below this view, and of this mesh as far as scopes and routes look at it.
    fn is_below(&self, mesh: &Mesh, view: &SharedView) -> bool {
        self.common.as_ref().is_some_and(|common| *common.view == view.common())
            && Arc::ptr_eq(&mesh.services, &self.mesh.services)
            && Arc::ptr_eq(&mesh.virtual_services, &self.mesh.virtual_services)
            && Arc::ptr_eq(&mesh.destination_rules, &self.mesh.destination_rules)
            && Arc::ptr_eq(&mesh.sidecars, &self.mesh.sidecars)
            && mesh.settings == self.mesh.settings
    }

    /// The scope of the class.
    pub fn scope(&self) -> &Ref<Scope> {
        &self.scope
    }
}

/// Plans a class. `previous` is its last plan and what changed since; if nothing of the class changed the same
/// allocation comes back. With `hold` a virtual host whose new form names what does not exist keeps the last one.
/// `beside` is the plan of another class: that of the class below ([`Class::below`]), from which the difference is
/// planned; or any, so that what is equal is not kept twice.
pub fn plan(
    mesh: &Mesh,
    class: &Class,
    previous: Option<(&Arc<Plan>, &Changes)>,
    hold: bool,
    beside: Option<&Plan>,
) -> Arc<Plan> {
    match class {
        Class::Shared(view) => shared::plan(mesh, view, previous, hold, beside),
        Class::Own(view) => own::plan(mesh, view, previous),
        Class::Secrets(view) => secrets::plan(mesh, view, previous.map(|(plan, _)| plan)),
    }
}

/// What the class sees: what the class below sees, if that is the same; else from what it saw when its last plan was
/// made.
fn plan_scope(mesh: &Mesh, view: &SharedView, old: Option<&Plan>, below: Option<&Plan>) -> Ref<Scope> {
    if let Some(below) = below.filter(|_| scope::is_plain(mesh, view)) {
        return below.scope.clone();
    }
    match old {
        Some(old) => scope::replan(mesh, view, &old.scope, &old.mesh),
        None => Ref::new(scope::plan(mesh, view)),
    }
}

/// The old entries if the new ones are equal, so that equality is seen by pointer further on.
fn keep(new: Entries, old: Option<&Entries>) -> Entries {
    match old {
        Some(old) if **old == *new => Arc::clone(old),
        _ => new,
    }
}
