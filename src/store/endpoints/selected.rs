//! Workload entries that a Kubernetes Service selects.

use std::sync::Arc;

use model::config::selects;
use model::endpoint::Endpoint;
use model::service::{Resolution, Service, TargetPort};

use super::InCluster;

impl InCluster<'_> {
    /// The endpoints of the workload entries that a Service selects. Only services with a cluster IP do; an entry
    /// without labels is never selected, and host names and Unix sockets are left out.
    pub(super) fn endpoints_of_selected_entries(&self, service: &Service) -> Vec<Endpoint> {
        let Some(selector) =
            service.selector.as_ref().filter(|_| service.resolution == Resolution::ClientSide)
        else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for entry in self.registry.entries_in(&service.namespace) {
            let workload = self.entry_workload(entry);
            if workload.labels.is_empty() || !selects(selector, &workload.labels) {
                continue;
            }
            for port in &service.ports {
                let named = |name: &Arc<str>| entry.spec.ports.get(&**name).copied().filter(|n| *n != 0);
                let number = match &port.target {
                    TargetPort::Name(target) => named(target),
                    TargetPort::Number(number) => named(&port.name).or_else(|| Some(u32::from(*number))),
                };
                let number = number.and_then(|n| u16::try_from(n).ok());
                if let Some(number) = number
                    && let Some(endpoint) = self.entry_endpoint(&entry.spec, number, port, &workload)
                {
                    out.push(endpoint);
                }
            }
        }
        out
    }
}
