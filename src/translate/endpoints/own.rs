//! Assignments that only one workload has: of services that keep to its node, of clusters behind its
//! AUTO_PASSTHROUGH servers.

use std::sync::Arc;

use model::mesh::Changes;
use model::service::Service;
use model::{Mesh, Ref};

use super::Planner;
use crate::class::OwnView;
use crate::clusters::sni_dnat;
use crate::context::Context;
use crate::key::Key;
use crate::scope::ScopedService;

/// Plans the assignments of one workload's own.
pub fn plan_own(context: &Context<'_>, view: &OwnView) -> Vec<(Arc<str>, Key)> {
    let planner = Planner::new(context);
    let mut planned: Vec<_> = node_local(context.mesh, view)
        .flat_map(|s| {
            planner.assignments(&ScopedService { service: s.clone(), ports: None }, Some(&view.node_name))
        })
        .collect();
    planned.extend(sni_dnat::plan(context, view).1);
    planned
}

/// The services that keep to the client's node, imported or not: an assignment that no cluster asks for is not
/// sent.
fn node_local<'a>(mesh: &'a Mesh, view: &'a OwnView) -> impl Iterator<Item = &'a Ref<Service>> {
    let visible = |s: &&Ref<Service>| s.node_local && s.export_to.visible_to(&view.shared.namespace);
    mesh.services.all().iter().filter(visible)
}

/// Whether changed endpoints may be among a workload's own assignments.
pub fn concerns_own(mesh: &Mesh, view: &OwnView, changes: &Changes) -> bool {
    if changes.endpoints.is_empty() {
        return false;
    }
    // Those behind AUTO_PASSTHROUGH servers are of all services.
    sni_dnat::wanted(mesh, view)
        || changes
            .endpoints
            .iter()
            .any(|(host, ns)| mesh.services.of_host(host).iter().any(|s| s.node_local && s.namespace == *ns))
}
