//! The plan of what proxies share: outbound clusters, endpoints, listeners and routes.

use std::cell::LazyCell;
use std::sync::Arc;

use model::mesh::Changes;
use model::service::Resolution;
use model::{Mesh, Ref};

use super::hold::hold;
use super::share::share;
use super::upstreams::Upstreams;
use super::{Plan, keep, plan_scope};
use crate::class::{Layer, SharedView};
use crate::context::Context;
use crate::key::{Entries, entries};
use crate::scope::{Difference, Scope};
use crate::{endpoints, listeners, routes};

/// Which parts must be planned again.
#[derive(Clone, Copy, Debug, Default)]
struct Stale {
    clusters: bool,
    endpoints: bool,
    listeners: bool,
    routes: bool,
    /// If routes are: nothing but rules of VirtualServices differs for them.
    rules_only: bool,
}

impl Stale {
    const ALL: Self =
        Self { clusters: true, endpoints: true, listeners: true, routes: true, rules_only: false };

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
        let seen = |resolution: &dyn Fn(Resolution) -> bool| {
            changes.endpoints.iter().any(|(host, ns)| {
                let service = mesh.services.of_host(host).iter().find(|s| s.namespace == *ns);
                service.is_some_and(|s| resolution(s.resolution))
            })
        };
        // The endpoints of DNS clusters are inside the cluster, those of headless services name listeners.
        let inline = seen(&|r| r != Resolution::ClientSide);
        Self {
            clusters: scoped.clusters
                || below
                || rules
                || authn
                || gateways
                || inline
                || !changes.identities.is_empty(),
            endpoints: scoped.endpoints || below || rules || authn || gateways,
            listeners: scoped.listeners || below || rules || seen(&|r| r == Resolution::Passthrough),
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
    let scope = plan_scope(mesh, view, old.map(|p| &**p));
    let context = Context { mesh, view, scope: &scope };
    let stale = previous.map_or(Stale::ALL, |(old, changes)| Stale::after(old, &context, &scope, changes));
    let upstreams = LazyCell::new(|| Upstreams::of(&context));
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
    let problems = match old {
        Some(old) if !stale.listeners => Arc::clone(&old.problems),
        _ => listeners::outbound::left_out(&context).into(),
    };
    let (routes, holding) = plan_routes(&context, stale, old, holds, beside);
    Arc::new(Plan {
        clusters,
        endpoints,
        listeners,
        routes,
        hidden_clusters,
        hidden_endpoints,
        hidden_listeners,
        holding,
        problems,
        mesh: mesh.clone(),
        scope,
    })
}

/// Routes, and whether any of these is held. The layer that namespaces have in common has none.
fn plan_routes(
    context: &Context<'_>,
    stale: Stale,
    old: Option<&Arc<Plan>>,
    holds: bool,
    beside: Option<&Plan>,
) -> (Entries, bool) {
    if context.view.layer == Layer::Common {
        return (Entries::default(), false);
    }
    let whole = || {
        let planned = entries(routes::sidecar::plan(context));
        match old.map(|p| &**p).or(beside) {
            Some(known) => share(planned, &known.routes),
            None => planned,
        }
    };
    let Some(old) = old else { return (whole(), false) };
    if !stale.routes {
        return (Arc::clone(&old.routes), old.holding);
    }
    let again = || routes::sidecar::replan(context, &old.scope, &old.routes);
    let new = stale.rules_only.then(again).flatten().unwrap_or_else(whole);
    let (new, holding) = if holds { hold(new, &old.routes) } else { (new, false) };
    (keep(new, Some(&old.routes)), holding)
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
