//! Load assignments: where the endpoints of a cluster are (EDS).
//!
//! Source: Istio `pilot/pkg/xds/endpoints/`; `shared/spec/xds.md` 3.

use std::sync::Arc;

use envoy::config::endpoint::v3::ClusterLoadAssignment;

use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;
use crate::output::Built;
use crate::scope::ScopedService;

/// All that a load assignment is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointsKey {}

/// Plans the assignments of all EDS clusters of a class.
pub fn plan(context: &Context<'_>) -> Vec<(Arc<str>, Key)> {
    context.scope.services.iter().flat_map(|s| plan_service(context, s)).collect()
}

/// Plans the assignments of one service: of each of its ports and subsets.
pub fn plan_service(_context: &Context<'_>, _service: &ScopedService) -> Vec<(Arc<str>, Key)> {
    Vec::new()
}

/// Plans the assignments that only this workload has: those of node-local services.
pub fn plan_own(_context: &Context<'_>, _view: &OwnView) -> Vec<(Arc<str>, Key)> {
    Vec::new()
}

/// Builds a load assignment from its key.
pub fn build(key: &EndpointsKey) -> Built<ClusterLoadAssignment> {
    match *key {}
}
