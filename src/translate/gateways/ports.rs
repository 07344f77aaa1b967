//! Ports of servers: a Gateway names the port of a Service, the router listens on the target port behind it.

use std::sync::Arc;

use model::Ref;
use model::service::Service;

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
    crate::workload::targets(context.mesh, view)
        .iter()
        .map(|t| Target { service: t.service.clone(), port: t.port.number, target: t.target })
        .collect()
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
