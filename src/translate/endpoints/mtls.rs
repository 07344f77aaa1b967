//! Whether mesh mTLS is used: towards a service without a rule that says so, and towards one endpoint.
//!
//! Source: Istio `pilot/pkg/model/push_context.go` (`BestEffortInferServiceMTLSMode`),
//! `pilot/pkg/xds/endpoints/mtls_checker.go`; `shared/spec/xds.md` 2.7, 3.4.

use std::collections::BTreeSet;

use api::istio::{ClientTlsMode, DestinationRule, MutualTlsMode, SimpleLb, TrafficPolicy};
use model::Mesh;
use model::endpoint::Endpoint;
use model::mesh::MergedRule;
use model::service::{Resolution, Service};

use crate::authn::{self, Mode};
use crate::clusters::policy::{find_subset, port_level};
use crate::context::Context;

/// Whether mesh mTLS is used towards a service when no rule speaks of TLS. Single workloads and ports do not count:
/// their endpoints tell for themselves.
pub(crate) fn automatic(context: &Context<'_>, service: &Service) -> bool {
    let mesh = context.mesh;
    if mesh.settings.mesh.enable_auto_mtls == Some(false) || service.mesh_external {
        return false;
    }
    if authn::namespace_mode(mesh, &service.namespace) == Mode::Disable {
        return false;
    }
    service.resolution != Resolution::Passthrough || all_have_sidecars(context, service)
}

/// Whether mesh mTLS is still used when a rule sends traffic to the address that the client asked for: then nothing tells
/// endpoints apart, so all must take it. As in the reference only the policy of the whole service counts, or that of the
/// subset alone, without their ports.
pub(crate) fn survives_passthrough(
    context: &Context<'_>,
    service: &Service,
    rule: Option<&MergedRule>,
    subset: &str,
) -> bool {
    let Some(rule) = rule.map(|r| &r.rule.spec) else { return true };
    let policy = match find_subset(rule, subset) {
        Some(subset) => subset.traffic_policy.as_ref(),
        None => rule.traffic_policy.as_ref(),
    };
    let balancer = policy.and_then(|p| p.load_balancer.as_ref()).and_then(|b| b.simple);
    balancer != Some(SimpleLb::Passthrough) || all_have_sidecars(context, service)
}

fn all_have_sidecars(context: &Context<'_>, service: &Service) -> bool {
    context.endpoints(service).is_some_and(|e| e.all_mtls)
}

/// Whether any PeerAuthentication makes some workload take plain text only.
pub(super) fn some_plain(mesh: &Mesh) -> bool {
    mesh.peer_authentications.iter().any(|p| {
        let mut modes = p.spec.mtls.iter().chain(p.spec.port_level_mtls.values());
        modes.any(|m| m.mode == MutualTlsMode::Disable)
    })
}

/// Positions of the endpoints whose PeerAuthentication makes them take plain text only.
pub(super) fn plain(mesh: &Mesh, endpoints: &[Endpoint]) -> BTreeSet<usize> {
    let mode = |e: &Endpoint| authn::mode(mesh, &e.workload.namespace, &e.workload.labels, Some(e.port));
    endpoints.iter().enumerate().filter(|(_, e)| mode(e) == Mode::Disable).map(|(i, _)| i).collect()
}

/// The mode that a rule asks for towards endpoints. Other than for the cluster, a port's policy without TLS leaves
/// the wider one in force.
pub(super) fn rule_mode(rule: &DestinationRule, port: u16, subset: &str) -> Option<ClientTlsMode> {
    let of = |policy: &TrafficPolicy| {
        let of_port = port_level(policy, port).and_then(|p| p.tls.as_ref());
        of_port.or(policy.tls.as_ref()).map(|t| t.mode)
    };
    let own = find_subset(rule, subset).and_then(|s| s.traffic_policy.as_ref()).and_then(of);
    own.or_else(|| rule.traffic_policy.as_ref().and_then(of))
}
