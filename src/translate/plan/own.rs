//! The plan of what one workload has for itself: its inbound side; for a router its listeners and routes.

use std::sync::Arc;

use model::mesh::{Changes, JwksMode};
use model::{Mesh, ProxyKind, Ref};

use super::{Plan, keep, plan_scope};
use crate::authz::Policies;
use crate::class::OwnView;
use crate::context::Context;
use crate::key::{Entries, entries};
use crate::scope;
use crate::workload::{self, Ports};
use crate::{clusters, endpoints, listeners};

/// Plans an own class.
pub(super) fn plan(mesh: &Mesh, view: &Ref<OwnView>, previous: Option<(&Arc<Plan>, &Changes)>) -> Arc<Plan> {
    if let Some((old, changes)) = previous
        && unaffected(old, mesh, view, changes)
    {
        return Arc::clone(old);
    }
    let old = previous.map(|(plan, _)| plan);
    // A sidecar's own resources do not depend on what it imports, so that is not computed for each of them.
    let scope = match view.shared.kind {
        ProxyKind::Sidecar => Ref::new(scope::own(mesh, &view.shared)),
        ProxyKind::Router => plan_scope(mesh, &view.shared, old.map(|p| &**p), None),
    };
    let context = Context { mesh, view: &view.shared, scope: &scope };
    let targets = if has_targets(view) { workload::targets(mesh, view) } else { Vec::new() };
    let ports = match view.shared.kind {
        ProxyKind::Sidecar => workload::inbound_ports(&context, view, &targets),
        ProxyKind::Router => Ports::default(),
    };
    let Ports { ports, mut problems } = ports;
    let mut clusters = clusters::inbound::plan(&context, view, &ports);
    clusters.extend(clusters::sni_dnat::plan(&context, view).0);
    let clusters = entries(clusters);
    let assignments = entries(endpoints::plan_own(&context, view, &targets));
    let (listeners, routes, hidden) = match view.shared.kind {
        ProxyKind::Sidecar => {
            let hidden = listeners::outbound::hidden(&context, view);
            (listeners::inbound::plan(&context, view, &ports), Vec::new(), hidden)
        }
        ProxyKind::Router => {
            let planned = listeners::gateway::plan(&context, view);
            problems.extend(planned.problems);
            (planned.listeners, planned.routes, Vec::new())
        }
    };
    Arc::new(Plan {
        clusters: keep(clusters, old.map(|p| &p.clusters)),
        endpoints: keep(assignments, old.map(|p| &p.endpoints)),
        listeners: keep(entries(listeners), old.map(|p| &p.listeners)),
        routes: keep(entries(routes), old.map(|p| &p.routes)),
        names: Entries::default(),
        trusted: Entries::default(),
        secrets: Entries::default(),
        hidden_clusters: Arc::default(),
        hidden_endpoints: Arc::default(),
        hidden_listeners: hidden.into(),
        holding: false,
        problems: problems.into(),
        common: None,
        mesh: mesh.clone(),
        scope,
    })
}

/// Whether the plan depends on what the workload serves.
fn has_targets(view: &OwnView) -> bool {
    view.shared.kind == ProxyKind::Sidecar || view.discovers_itself.is_some()
}

/// Whether nothing that an own plan reads differs from what `old` was made from.
fn unaffected(old: &Plan, mesh: &Mesh, view: &OwnView, changes: &Changes) -> bool {
    let namespace = &view.shared.namespace;
    let services = |mesh: &Mesh| mesh.services.of_namespace(namespace).cloned();
    let cluster = &view.shared.cluster_id;
    let pod = |mesh: &Mesh| mesh.pod(cluster, namespace, &view.pod).cloned();
    let entries = |mesh: &Mesh| mesh.workloads_in(cluster).and_then(|w| w.entries.get(namespace)).cloned();
    let router = view.shared.kind == ProxyKind::Router;
    let fetches_all = mesh.settings.features.jwks_mode == JwksMode::ControlPlane;
    mesh.settings == old.mesh.settings
        && mesh.network_gateways == old.mesh.network_gateways
        && Arc::ptr_eq(&mesh.sidecars, &old.mesh.sidecars)
        && Arc::ptr_eq(&mesh.peer_authentications, &old.mesh.peer_authentications)
        && Arc::ptr_eq(&mesh.request_authentications, &old.mesh.request_authentications)
        && Arc::ptr_eq(&mesh.jwks, &old.mesh.jwks)
        // Whether a key server is a service of the mesh decides who fetches from it.
        && (fetches_all || Arc::ptr_eq(&mesh.services, &old.mesh.services))
        && Policies::same(mesh, &old.mesh, view)
        && Arc::ptr_eq(&mesh.destination_rules, &old.mesh.destination_rules)
        && (!router
            || (Arc::ptr_eq(&mesh.gateways, &old.mesh.gateways)
                && Arc::ptr_eq(&mesh.virtual_services, &old.mesh.virtual_services)
                && Arc::ptr_eq(&mesh.services, &old.mesh.services)))
        && services(mesh) == services(&old.mesh)
        && pod(mesh) == pod(&old.mesh)
        && entries(mesh) == entries(&old.mesh)
        && !(has_targets(view) && workload::concerns(mesh, view, changes))
        && !endpoints::concerns_own(mesh, view, changes)
}
