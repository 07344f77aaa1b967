//! Ports of servers: a Gateway names the port of a Service, the router listens on the target port behind it.

use std::sync::Arc;

use model::Ref;
use model::config::selects;
use model::protocol::Protocol;
use model::service::{Service, TargetPort};

use crate::class::OwnView;
use crate::context::Context;

/// A port of a Service that this router is behind.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The Service.
    pub(super) service: Ref<Service>,
    /// Its port.
    pub(super) port: u16,
    /// The router's port.
    pub(super) target: u16,
}

/// Label of Services whose ports Gateways do not mean.
const NOT_TRANSLATED: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The ports of all Services that the router is behind, those of the oldest Service first.
pub(super) fn targets(context: &Context<'_>, view: &OwnView) -> Vec<Target> {
    let services = context.mesh.services.of_namespace(&view.shared.namespace);
    let behind = |s: &&Ref<Service>| s.selector.as_ref().is_some_and(|want| selects(want, &view.labels));
    let mut targets = Vec::new();
    for service in services.into_iter().flat_map(|list| list.iter()).filter(behind) {
        for port in service.ports.iter().filter(|p| p.protocol != Protocol::Udp) {
            if let Some(target) = resolve(&port.target, context, view) {
                targets.push(Target { service: service.clone(), port: port.number, target });
            }
        }
    }
    targets
}

/// The number of a target port: a name is that of a container port, of the pod or as the router's metadata give it.
fn resolve(target: &TargetPort, context: &Context<'_>, view: &OwnView) -> Option<u16> {
    let name = match target {
        TargetPort::Number(number) => return Some(*number),
        TargetPort::Name(name) => name,
    };
    match context.mesh.workloads.pod(&view.shared.namespace, &view.pod) {
        Some(pod) => pod.ports.iter().find(|p| p.name == *name).map(|p| p.number),
        None => view.pod_ports.iter().find(|(n, _)| **n == **name).map(|(_, number)| *number),
    }
}

/// Where a Gateway that selects its routers by label listens for `number`: on the target port of the first Service
/// with that port, else on the number itself.
pub(super) fn of_selected(number: u16, targets: &[Target]) -> u16 {
    let mut translated = targets.iter().filter(|t| !t.service.labels.contains_key(NOT_TRANSLATED));
    translated.find(|t| t.port == number).map_or(number, |t| t.target)
}

/// Where a Gateway that names its Services listens for `number`: on every target port of these Services.
pub(super) fn of_named(number: u16, targets: &[Target], services: &[Arc<str>]) -> Vec<u16> {
    let named = targets.iter().filter(|t| services.contains(&t.service.host) && t.port == number);
    let mut ports: Vec<u16> = named.map(|t| t.target).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
