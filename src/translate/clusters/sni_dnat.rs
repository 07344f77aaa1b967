//! Clusters behind AUTO_PASSTHROUGH servers: the name in the client's TLS chooses the cluster, TLS passes through.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster.go` (`buildOutboundSniDnatClusters`); `shared/spec/xds.md` 2.11.

use std::sync::Arc;

use api::istio::ServerTlsMode;
use model::config::selects;
use model::{Mesh, ProxyKind, Ref};

use super::outbound::{Client, Discovery, OutboundKey, discovery, subsets};
use super::{ClusterKey, names};
use crate::class::OwnView;
use crate::context::Context;
use crate::endpoints;
use crate::gateways::{self, server::Carries};
use crate::key::Key;

/// Whether some Gateway names an AUTO_PASSTHROUGH server for this proxy, be it that the server is left out.
pub fn wanted(mesh: &Mesh, view: &OwnView) -> bool {
    if view.shared.kind != ProxyKind::Router {
        return false;
    }
    let scoped = mesh.settings.features.scope_gateway_to_namespace;
    let mut gateways = mesh.gateways.iter();
    gateways.any(|g| {
        let near = !scoped || *g.namespace() == view.shared.namespace;
        let passes =
            |s: &api::istio::Server| s.tls.as_ref().is_some_and(|t| t.mode == ServerTlsMode::AutoPassthrough);
        near && g.spec.servers.iter().any(passes) && selects(&g.spec.selector, &view.labels)
    })
}

/// Whether the proxy opens such a server: one that clashes with an older one leads nowhere.
fn opened(context: &Context<'_>, view: &OwnView) -> bool {
    let merged = gateways::merged(context, view);
    let mut servers = merged.listeners.iter().flat_map(|l| &l.servers);
    servers.any(|s| s.carries() == Carries::AutoPassthrough)
}

/// Plans these clusters and the assignments of those that get them sent.
pub fn plan(context: &Context<'_>, view: &OwnView) -> (Vec<(Arc<str>, Key)>, Vec<(Arc<str>, Key)>) {
    let (mut clusters, mut assignments) = (Vec::new(), Vec::new());
    if !wanted(context.mesh, view) || !opened(context, view) {
        return (clusters, assignments);
    }
    let client = Ref::new(Client::of(&view.shared));
    let planner = endpoints::Planner::new(context);
    for scoped in context.scope.services.iter().filter(|s| !s.service.mesh_external) {
        let rule = context.rule(&scoped.service);
        for port in scoped.ports() {
            let found = discovery(&scoped.service, port, client.kind, context.settings());
            if matches!(found, Discovery::None | Discovery::DynamicDns) {
                continue;
            }
            for subset in subsets(rule).chain([""]) {
                let name: Arc<str> = Arc::from(names::sni(port.number, subset, &scoped.service.host));
                let inline = matches!(found, Discovery::StrictDns | Discovery::LogicalDns);
                let assignment = planner.sni_dnat(&scoped.service, port, subset, rule, inline);
                if inline && assignment.is_empty() {
                    continue;
                }
                let assignment = assignment.shared();
                let key = OutboundKey {
                    service: scoped.service.clone(),
                    port: port.number,
                    subset: Arc::from(subset),
                    rule: rule.cloned(),
                    client: client.clone(),
                    settings: context.mesh.settings.clone(),
                    auto_mtls: false,
                    identities: None,
                    inline: inline.then(|| assignment.clone()),
                    sni_dnat: true,
                };
                clusters.push((Arc::clone(&name), Key::Cluster(Ref::new(ClusterKey::Outbound(key)))));
                if found == Discovery::Eds {
                    assignments.push((name, Key::Endpoints(assignment)));
                }
            }
        }
    }
    (clusters, assignments)
}
