//! The clusters, assignments and listeners of a class, in two layers: what a client of no namespace would get is made once for
//! all; a namespace adds, replaces and hides what is otherwise for it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use model::{Mesh, Ref};

use crate::class::{Layer, SharedView};
use crate::context::Context;
use crate::key::{Entries, entries};
use crate::scope::{self, Scope, ScopedService};
use crate::{apart, clusters, endpoints, listeners};

type Planned = Vec<(Arc<str>, crate::Key)>;

/// The services whose clusters a class has in its own layer, and names of the layer below that it must not have.
pub(super) struct Upstreams<'a> {
    context: &'a Context<'a>,
    services: Vec<&'a ScopedService>,
    fixed: bool,
    /// What the class below has of hosts for which the two differ.
    below: Option<Below>,
}

/// The class without a namespace, as far as it is replaced.
struct Below {
    view: Ref<SharedView>,
    scope: Ref<Scope>,
    replaced: Vec<ScopedService>,
}

impl<'a> Upstreams<'a> {
    /// Looks at what the class sees, and compares it with what the class below sees if it has one; `scope` is the scope
    /// of that class if it is known.
    pub(super) fn of(context: &'a Context<'a>, scope: Option<&Ref<Scope>>) -> Self {
        let all = || context.scope.services.iter().collect();
        match context.view.layer {
            Layer::Whole | Layer::Common => Self { context, services: all(), fixed: true, below: None },
            Layer::Upper => {
                let view = Ref::new(context.view.common());
                let plan = || Ref::new(scope::plan(context.mesh, &view));
                let scope = scope.cloned().unwrap_or_else(plan);
                let common = Context { mesh: context.mesh, view: &view, scope: &scope };
                let ruled = apart::ruled(context, &common);
                let services = different(context.scope, common.scope, &ruled);
                let replaced = different(common.scope, context.scope, &ruled).into_iter().cloned().collect();
                Self { context, services, fixed: false, below: Some(Below { view, scope, replaced }) }
            }
        }
    }

    /// The clusters of the class's own layer.
    pub(super) fn clusters(&self) -> Entries {
        let mut planned = clusters::outbound::plan(self.context, &self.services);
        if self.fixed {
            planned.extend(clusters::outbound::plan_fixed(self.context));
        }
        entries(planned)
    }

    /// The assignments of the class's own layer.
    pub(super) fn endpoints(&self) -> Entries {
        entries(endpoints::plan(self.context, &self.services))
    }

    /// The outbound listeners of the class's own layer: all or none of them, for they depend on each other.
    pub(super) fn listeners(&self) -> Entries {
        match &self.below {
            Some(below) if self.listens_as(below) => Entries::default(),
            _ => entries(listeners::outbound::plan(self.context)),
        }
    }

    /// Whether the listeners of the layer below are those that the class would have.
    fn listens_as(&self, below: &Below) -> bool {
        let scope = self.context.scope;
        let by_rules = || scope.egress.iter().flat_map(|e| &e.virtual_services).any(|v| v.for_connections());
        let renamed = || scope.services.iter().any(|s| !s.service.aliases.is_empty());
        self.services.is_empty()
            && below.replaced.is_empty()
            && !scope.difference(&below.scope).listeners
            && !by_rules()
            && !renamed()
    }

    /// The listeners of the layer below that the class must not have, when its own are these.
    pub(super) fn hidden_listeners(&self, own: &Entries) -> Arc<[Arc<str>]> {
        match &self.below {
            Some(below) if !own.is_empty() => {
                below.names_beyond(self.context.mesh, own, listeners::outbound::plan)
            }
            _ => Arc::default(),
        }
    }

    /// The clusters of the layer below that the class must not have, when its own are these.
    pub(super) fn hidden_clusters(&self, own: &Entries) -> Arc<[Arc<str>]> {
        self.hidden(own, clusters::outbound::plan)
    }

    /// The assignments of the layer below that the class must not have, when its own are these.
    pub(super) fn hidden_endpoints(&self, own: &Entries) -> Arc<[Arc<str>]> {
        self.hidden(own, endpoints::plan)
    }

    fn hidden(
        &self,
        own: &Entries,
        plan: impl Fn(&Context<'_>, &[&ScopedService]) -> Planned,
    ) -> Arc<[Arc<str>]> {
        let Some(below) = self.below.as_ref().filter(|b| !b.replaced.is_empty()) else {
            return Arc::default();
        };
        let replaced: Vec<_> = below.replaced.iter().collect();
        below.names_beyond(self.context.mesh, own, |context| plan(context, &replaced))
    }
}

impl Below {
    /// The names of what is planned for the class below that are not among `own`.
    fn names_beyond(
        &self,
        mesh: &Mesh,
        own: &Entries,
        plan: impl FnOnce(&Context<'_>) -> Planned,
    ) -> Arc<[Arc<str>]> {
        let planned = plan(&Context { mesh, view: &self.view, scope: &self.scope });
        let names: BTreeSet<Arc<str>> = planned.into_iter().map(|(name, _)| name).collect();
        names.into_iter().filter(|name| own.binary_search_by(|(n, _)| n.cmp(name)).is_err()).collect()
    }
}

/// The services of a scope that mean something else, or nothing, in another, or that have one of the hosts `ruled`.
fn different<'a>(scope: &'a Scope, other: &Scope, ruled: &HashSet<Arc<str>>) -> Vec<&'a ScopedService> {
    if std::ptr::eq(scope, other) && ruled.is_empty() {
        return Vec::new();
    }
    let same =
        |s: &ScopedService| other.service(&s.service.host) == Some(s) && !ruled.contains(&s.service.host);
    scope.services.iter().filter(|s| !same(s)).collect()
}

/// Whether a class of this view needs no namespace of its own for most clusters: it has no Sidecar that would say
/// which services it imports.
pub(crate) fn layered(mesh: &Mesh, view: &SharedView) -> bool {
    scope::select(mesh, view).is_none()
}
