//! All services of a scope: those of its egress listeners, then those that imported VirtualServices send requests to.
//!
//! Source: Istio `pilot/pkg/model/sidecar.go` (`appendSidecarServices`); `shared/spec/xds.md` 6.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api::istio::{Destination, HttpRoute, VirtualService};
use model::service::{Registry, Service};
use model::{Mesh, Ref};

use super::{ScopedService, seen};

/// What is known is of a ServiceEntry, and what comes is of Kubernetes.
const BOTH: (Registry, Registry) = (Registry::External, Registry::Kubernetes);

/// Services by host: each host once.
#[derive(Debug, Default)]
pub(super) struct Union {
    pub(super) services: Vec<ScopedService>,
    /// Positions in `services`; never iterated.
    pub(super) by_host: HashMap<Arc<str>, usize>,
}

impl Union {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { services: Vec::with_capacity(capacity), by_host: HashMap::with_capacity(capacity) }
    }

    /// Adds a service, or its ports to the service of its host if both are one; else the one that is there stays.
    pub(super) fn add(&mut self, service: &Ref<Service>, ports: Option<BTreeSet<u16>>) {
        let known = self.by_host.get(&service.host).and_then(|at| self.services.get_mut(*at));
        match known {
            Some(known) if known.service == *service => widen(&mut known.ports, ports),
            Some(known) if are_one(&known.service, service) => {
                widen(&mut known.ports, ports);
                add_ports(&mut known.service, service);
            }
            // What Kubernetes has is the service, whoever came first.
            Some(known) if (known.service.registry, service.registry) == BOTH => {
                *known = ScopedService { service: service.clone(), ports };
            }
            Some(_) => {}
            None => {
                self.by_host.insert(Arc::clone(&service.host), self.services.len());
                self.services.push(ScopedService { service: service.clone(), ports });
            }
        }
    }

    /// Adds what a VirtualService sends requests of a namespace's clients to; `only` is the port of the listener that
    /// imports it, if it has one: of services with that port it alone is added, and no other service.
    pub(super) fn add_destinations(
        &mut self,
        mesh: &Mesh,
        spec: &VirtualService,
        client: &str,
        only: Option<u16>,
    ) {
        for destination in destinations(spec, client) {
            let host = destination.host.as_str();
            let whole = self.by_host.get(host).and_then(|at| self.services.get(*at));
            if whole.is_some_and(|s| s.ports.is_none()) {
                continue;
            }
            let Some(service) = seen::destination(mesh, host, client) else { continue };
            let named = || destination.port.as_ref().map_or(0, |p| p.number);
            let number = only.map_or_else(named, u32::from);
            let ports = match u16::try_from(number) {
                Ok(0) => None,
                Ok(number) if service.port(number).is_some() => Some(BTreeSet::from([number])),
                _ => continue,
            };
            self.add(service, ports);
        }
    }
}

fn widen(ports: &mut Option<BTreeSet<u16>>, more: Option<BTreeSet<u16>>) {
    match (ports.as_mut(), more) {
        (Some(ports), Some(more)) => ports.extend(more),
        _ => *ports = None,
    }
}

/// Whether two services of a host are one in two pieces, such as two ServiceEntries with different ports. The piece that
/// comes first has the addresses.
fn are_one(a: &Service, b: &Service) -> bool {
    a.namespace == b.namespace
        && a.registry == b.registry
        && a.resolution == b.resolution
        && a.labels == b.labels
        && a.selector == b.selector
        && a.export_to == b.export_to
}

/// Adds the ports whose numbers are not there.
fn add_ports(service: &mut Ref<Service>, other: &Service) {
    let missing: Vec<_> = other.ports.iter().filter(|p| service.port(p.number).is_none()).cloned().collect();
    if missing.is_empty() {
        return;
    }
    let mut whole = Service::clone(service);
    whole.ports.extend(missing);
    *service = Ref::new(whole);
}

/// The destinations of a VirtualService, without those of routes that are for other namespaces only.
pub(super) fn destinations<'a>(
    spec: &'a VirtualService,
    client: &'a str,
) -> impl Iterator<Item = &'a Destination> {
    let http = spec.http.iter().filter(move |r| concerns(r, client)).flat_map(|r| {
        let routes = r.route.iter().map(|d| &d.destination);
        routes.chain(&r.mirror).chain(r.mirrors.iter().map(|m| &m.destination))
    });
    let tcp = spec.tcp.iter().flat_map(|r| &r.route).map(|d| &d.destination);
    let tls = spec.tls.iter().flat_map(|r| &r.route).map(|d| &d.destination);
    http.chain(tcp).chain(tls)
}

fn concerns(route: &HttpRoute, client: &str) -> bool {
    route.r#match.is_empty()
        || route.r#match.iter().any(|m| m.source_namespace.is_empty() || m.source_namespace == client)
}
