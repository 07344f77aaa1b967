//! Assignments that only one workload has: of services that keep to its node, of clusters behind its
//! AUTO_PASSTHROUGH servers, of itself.

use std::sync::Arc;

use model::endpoint::Endpoint;
use model::mesh::Changes;
use model::service::Service;
use model::{Mesh, Ref};

use super::{LOCAL_CLUSTER, Planner};
use crate::class::OwnView;
use crate::clusters::sni_dnat;
use crate::context::Context;
use crate::key::Key;
use crate::scope::ScopedService;
use crate::workload::Target;

/// Labels that tell the pods of one ReplicaSet, or of one of a Rollout, from those of another.
const TEMPLATE_HASHES: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];

/// Plans the assignments of one workload's own; `targets` are what it serves.
pub fn plan_own(context: &Context<'_>, view: &OwnView, targets: &[Target]) -> Vec<(Arc<str>, Key)> {
    let planner = Planner::new(context);
    let mut planned: Vec<_> = node_local(context.mesh, view)
        .flat_map(|s| {
            planner.assignments(&ScopedService { service: s.clone(), ports: None }, Some(&view.node_name))
        })
        .collect();
    planned.extend(sni_dnat::plan(context, view).1);
    let local = view.discovers_itself.as_deref().zip(targets.first());
    planned.extend(local.map(|(region, first)| (LOCAL_CLUSTER.into(), own(&planner, view, region, first))));
    planned
}

/// The assignment of the workload itself: the endpoints of its oldest service that run what it runs, in its region. Of a
/// workload without a service nothing is planned: it is answered that there are none.
///
/// Source: Istio `pilot/pkg/xds/endpoints/endpoint_builder.go`.
fn own(planner: &Planner<'_>, view: &OwnView, region: &str, first: &Target) -> Key {
    let same = |endpoint: &Endpoint| {
        let workload = &endpoint.workload;
        *workload.name == *view.workload_name
            && workload.locality.region == region
            && TEMPLATE_HASHES.iter().all(|hash| view.labels.get(*hash) == workload.labels.get(*hash))
    };
    Key::Endpoints(planner.local(&first.service, first.port.number, same).shared())
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
    let own = || changes.endpoints.iter().any(|(_, namespace)| *namespace == view.shared.namespace);
    // Those behind AUTO_PASSTHROUGH servers are of all services.
    sni_dnat::wanted(mesh, view)
        || (view.discovers_itself.is_some() && own())
        || changes
            .endpoints
            .iter()
            .any(|(host, ns)| mesh.services.of_host(host).iter().any(|s| s.node_local && s.namespace == *ns))
}
