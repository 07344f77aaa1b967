//! What a class of proxies sees of the mesh: the Sidecar that applies, its egress listeners, the services and
//! VirtualServices that each imports.
//!
//! Source: Istio `pilot/pkg/model/sidecar.go`; `shared/spec/xds.md` 6.

use std::collections::BTreeSet;

use api::istio::Sidecar;
use model::config::selects;
use model::mesh::VirtualServiceEntry;
use model::service::{Service, ServicePort};
use model::{Config, Mesh, ProxyKind, Ref};

use crate::class::SharedView;

/// A service as a scope imports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopedService {
    /// The service.
    pub service: Ref<Service>,
    /// The ports that are imported; `None` for all.
    pub ports: Option<BTreeSet<u16>>,
}

impl ScopedService {
    /// The imported ports, in declared order.
    pub fn ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.service.ports.iter().filter(|p| self.ports.as_ref().is_none_or(|set| set.contains(&p.number)))
    }
}

/// One egress listener of a Sidecar, or the catch-all one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EgressListener {
    /// Its index in the Sidecar; `None` for the built-in catch-all.
    pub index: Option<usize>,
    /// The services that it imports, oldest first.
    pub services: Vec<ScopedService>,
    /// The VirtualServices that it imports, in order of precedence.
    pub virtual_services: Vec<Ref<VirtualServiceEntry>>,
}

/// What a class sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The Sidecar that applies, if any.
    pub sidecar: Option<Ref<Config<Sidecar>>>,
    /// Its egress listeners in order; at least one.
    pub egress: Vec<EgressListener>,
    /// All services of all listeners and of the destinations of their VirtualServices: what has clusters.
    pub services: Vec<ScopedService>,
}

impl Scope {
    /// The service that this scope means by `host`.
    pub fn service(&self, host: &str) -> Option<&ScopedService> {
        self.services.iter().find(|s| &*s.service.host == host)
    }
}

/// Computes the scope of a class.
pub fn plan(mesh: &Mesh, view: &SharedView) -> Scope {
    let services: Vec<ScopedService> = mesh
        .services
        .all()
        .iter()
        .filter(|s| s.export_to.visible_to(&view.namespace))
        .map(|s| ScopedService { service: s.clone(), ports: None })
        .collect();
    let virtual_services = mesh.virtual_services.visible_to(&view.namespace);
    let egress = vec![EgressListener { index: None, services: services.clone(), virtual_services }];
    Scope { sidecar: select(mesh, view), egress, services }
}

/// The scope that the own plan of a sidecar needs: the Sidecar that applies, without what it imports.
pub fn own(mesh: &Mesh, view: &SharedView) -> Scope {
    Scope { sidecar: select(mesh, view), egress: Vec::new(), services: Vec::new() }
}

/// The Sidecar that applies: the oldest of the namespace whose selector matches, else the oldest of the
/// namespace without a selector, else that of the root namespace. Routers have none.
pub fn select(mesh: &Mesh, view: &SharedView) -> Option<Ref<Config<Sidecar>>> {
    if view.kind != ProxyKind::Sidecar {
        return None;
    }
    let own = mesh.sidecars.of_namespace(&view.namespace);
    let root = mesh.sidecars.of_namespace(&mesh.settings.mesh.root_namespace);
    let general =
        |list: &[Ref<Config<Sidecar>>]| list.iter().find(|s| s.spec.workload_selector.is_none()).cloned();
    own.iter()
        .find(|s| s.spec.workload_selector.as_ref().is_some_and(|w| selects(&w.labels, &view.labels)))
        .cloned()
        .or_else(|| general(own))
        .or_else(|| general(root))
}
