//! The plan of what proxies share: outbound clusters, endpoints, listeners and routes.

use std::cell::LazyCell;
use std::sync::Arc;

use model::mesh::Changes;
use model::service::Resolution;
use model::{Mesh, Ref};

use super::hold::hold;
use super::upstreams::Upstreams;
use super::{Common, Plan, keep, plan_scope};
use crate::class::{Layer, SharedView};
use crate::context::Context;
use crate::key::{Entries, entries};
use crate::routes::share::share;
use crate::routes::sidecar::{self, Base};
use crate::scope::{Difference, Scope};
use crate::{endpoints, listeners, names, trust};

/// Which parts must be planned again.
#[derive(Clone, Copy, Debug, Default)]
struct Stale {
    clusters: bool,
    endpoints: bool,
    listeners: bool,
    names: bool,
    routes: bool,
    /// If routes are: nothing but rules of VirtualServices differs for them.
    rules_only: bool,
}

impl Stale {
    const ALL: Self = Self {
        clusters: true,
        endpoints: true,
        listeners: true,
        names: true,
        routes: true,
        rules_only: false,
    };

    /// What must be planned again when `old`, made from an older mesh, meets `mesh`.
    fn after(old: &Plan, context: &Context<'_>, scope: &Ref<Scope>, changes: &Changes) -> Self {
        let mesh = context.mesh;
        if mesh.settings != old.mesh.settings {
            return Self::ALL;
        }
        let scoped = if *scope == old.scope { Difference::default() } else { scope.difference(&old.scope) };
        // What a layer adds to the one below depends on both.
        let below = context.view.layer == Layer::Upper && !Arc::ptr_eq(&mesh.services, &old.mesh.services);
        let rules = !Arc::ptr_eq(&mesh.destination_rules, &old.mesh.destination_rules);
        let authn = !Arc::ptr_eq(&mesh.peer_authentications, &old.mesh.peer_authentications);
        let gateways = !Arc::ptr_eq(&mesh.gateways, &old.mesh.gateways);
        let networks = mesh.network_gateways != old.mesh.network_gateways;
        let seen = |resolution: &dyn Fn(Resolution) -> bool| {
            changes.endpoints.iter().any(|(host, ns)| {
                let service = mesh.services.of_host(host).iter().find(|s| s.namespace == *ns);
                service.is_some_and(|s| resolution(s.resolution))
            })
        };
        // The endpoints of DNS clusters are inside the cluster, those of headless services name listeners and stand in the
        // table of names.
        let inline = seen(&|r| r != Resolution::ClientSide);
        let headless = inline && seen(&|r| r == Resolution::Passthrough);
        Self {
            clusters: scoped.clusters
                || below
                || rules
                || authn
                || gateways
                || networks
                || inline
                || !changes.identities.is_empty(),
            endpoints: scoped.endpoints || below || rules || authn || gateways || networks,
            listeners: scoped.listeners || below || rules || headless,
            names: scoped.names || below || headless,
            routes: scoped.routes || rules || old.holding,
            rules_only: !(scoped.listeners || rules || old.holding),
        }
    }
}

/// Plans a shared class.
pub(super) fn plan(
    mesh: &Mesh,
    view: &Ref<SharedView>,
    previous: Option<(&Arc<Plan>, &Changes)>,
    holds: bool,
    beside: Option<&Plan>,
) -> Arc<Plan> {
    let old = previous.map(|(plan, _)| plan);
    let below = beside.filter(|p| view.layer == Layer::Upper && p.is_below(mesh, view));
    let scope = plan_scope(mesh, view, old.map(|p| &**p), below);
    let context = Context { mesh, view, scope: &scope };
    let stale = previous.map_or(Stale::ALL, |(old, changes)| Stale::after(old, &context, &scope, changes));
    let upstreams = LazyCell::new(|| Upstreams::of(&context, below.map(|p| &p.scope)));
    let (clusters, hidden_clusters) = match old {
        Some(old) if !stale.clusters => (Arc::clone(&old.clusters), Arc::clone(&old.hidden_clusters)),
        _ => {
            let clusters = keep(upstreams.clusters(), old.map(|p| &p.clusters));
            let hidden = upstreams.hidden_clusters(&clusters);
            (clusters, hidden)
        }
    };
    let (endpoints, hidden_endpoints) = match previous {
        Some((old, changes)) if !stale.endpoints => {
            let touched = touched_endpoints(&context, Arc::clone(&old.endpoints), changes);
            (touched, Arc::clone(&old.hidden_endpoints))
        }
        _ => {
            let endpoints = keep(upstreams.endpoints(), old.map(|p| &p.endpoints));
            let hidden = upstreams.hidden_endpoints(&endpoints);
            (endpoints, hidden)
        }
    };
    let (listeners, hidden_listeners) = match old {
        Some(old) if !stale.listeners => (Arc::clone(&old.listeners), Arc::clone(&old.hidden_listeners)),
        _ => {
            let listeners = keep(upstreams.listeners(), old.map(|p| &p.listeners));
            let hidden = upstreams.hidden_listeners(&listeners);
            (listeners, hidden)
        }
    };
    let names = match old {
        Some(old) if !stale.names => Arc::clone(&old.names),
        _ => keep(own_names(&context, below), old.map(|p| &p.names)),
    };
    let trusted = match old {
        Some(old) if old.mesh.trusted == mesh.trusted => Arc::clone(&old.trusted),
        _ if view.layer == Layer::Upper => Entries::default(),
        _ => trust::plan(mesh),
    };
    let problems = match old {
        Some(old) if !stale.listeners => Arc::clone(&old.problems),
        _ => listeners::outbound::left_out(&context).into(),
    };
    let routes = Routes { context: &context, stale, old: old.map(|p| &**p) };
    let common =
        (view.layer == Layer::Common).then(|| Common { view: view.clone(), routes: routes.base(&scope) });
    let (routes, holding) = routes.plan(holds, beside, below);
    Arc::new(Plan {
        clusters,
        endpoints,
        listeners,
        routes,
        names,
        trusted,
        secrets: Entries::default(),
        hidden_clusters,
        hidden_endpoints,
        hidden_listeners,
        holding,
        problems,
        common,
        mesh: mesh.clone(),
        scope,
    })
}

/// The table of names, if it is another than that of the class below.
fn own_names(context: &Context<'_>, below: Option<&Plan>) -> Entries {
    if below.is_some_and(|below| std::ptr::eq(&*below.scope, context.scope)) {
        return Entries::default();
    }
    let table = names::plan(context);
    match below {
        Some(below) if *below.names == *table => Entries::default(),
        _ => table,
    }
}

/// What route configurations are planned from.
struct Routes<'a> {
    context: &'a Context<'a>,
    stale: Stale,
    old: Option<&'a Plan>,
}

impl Routes<'_> {
    /// Those that classes above differ from.
    fn base(&self, scope: &Ref<Scope>) -> Option<Base> {
        let fresh = || Base::new(self.context, scope);
        let Some(old) = self.old.and_then(|old| old.common.as_ref()?.routes.as_ref()) else { return fresh() };
        if !self.stale.routes {
            return Some(old.clone());
        }
        let after = || old.after(self.context, scope);
        self.stale.rules_only.then(after).flatten().or_else(|| Some(fresh()?.sharing(old)))
    }

    /// The class's own, and whether any of these is held. The layer that namespaces have in common has none.
    fn plan(&self, holds: bool, beside: Option<&Plan>, below: Option<&Plan>) -> (Entries, bool) {
        if self.context.view.layer == Layer::Common {
            return (Entries::default(), false);
        }
        let Some(old) = self.old else { return (self.fresh(beside, below), false) };
        if !self.stale.routes {
            return (Arc::clone(&old.routes), old.holding);
        }
        let again = || sidecar::replan(self.context, &old.scope, &old.routes);
        let rules_only = self.stale.rules_only && below.is_none();
        let new = rules_only.then(again).flatten().unwrap_or_else(|| self.fresh(Some(old), below));
        let (new, holding) = if holds { hold(new, &old.routes) } else { (new, false) };
        (keep(new, Some(&old.routes)), holding)
    }

    /// As a difference from the class below, or from nothing, sharing what is equal.
    fn fresh(&self, beside: Option<&Plan>, below: Option<&Plan>) -> Entries {
        if let Some(base) = below.and_then(|below| below.common.as_ref()?.routes.as_ref()) {
            return base.plan(self.context);
        }
        let planned = entries(sidecar::plan(self.context));
        match beside {
            Some(beside) => share(planned, &beside.routes),
            None => planned,
        }
    }
}

/// The assignments with those of the changed services planned again: nothing else is looked at.
fn touched_endpoints(context: &Context<'_>, old: Entries, changes: &Changes) -> Entries {
    if changes.endpoints.is_empty() {
        return old;
    }
    let mut list = None;
    for (host, namespace) in &changes.endpoints {
        let Some(scoped) = context.scope.service(host).filter(|s| s.service.namespace == *namespace) else {
            continue;
        };
        for (name, key) in endpoints::plan_service(context, scoped) {
            if let Ok(at) = old.binary_search_by(|(n, _)| n.cmp(&name))
                && let Some(slot) = list.get_or_insert_with(|| old.to_vec()).get_mut(at)
            {
                slot.1 = key;
            }
        }
    }
    list.map_or_else(|| Arc::clone(&old), |list| keep(list.into(), Some(&old)))
}
