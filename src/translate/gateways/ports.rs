//! Ports of servers: a Gateway names the port of a Service, the router listens on the target port behind it.

use std::sync::Arc;

use crate::workload::Target;

/// Label of Services whose ports Gateways do not mean.
const NOT_TRANSLATED: &str = "experimental.istio.io/disable-gateway-port-translation";

/// Where a Gateway that selects its routers by label listens for `number`: on the target port of the first Service
/// with that port, else on the number itself.
pub(super) fn of_selected(number: u16, targets: &[Target]) -> u16 {
    let mut translated = targets.iter().filter(|t| !t.service.labels.contains_key(NOT_TRANSLATED));
    translated.find(|t| t.port.number == number).map_or(number, |t| t.number)
}

/// Where a Gateway that names its Services listens for `number`: on every target port of these Services.
pub(super) fn of_named(number: u16, targets: &[Target], services: &[Arc<str>]) -> Vec<u16> {
    let named = targets.iter().filter(|t| services.contains(&t.service.host) && t.port.number == number);
    let mut ports: Vec<u16> = named.map(|t| t.number).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
