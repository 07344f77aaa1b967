//! What a class of proxies sees of the mesh: the Sidecar that applies, its egress listeners, the services and
//! VirtualServices that each imports.
//!
//! Source: Istio `pilot/pkg/model/sidecar.go`; `shared/spec/xds.md` 6.

mod difference;
mod imports;
mod seen;
mod union;

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use api::istio::{IstioEgressListener, Sidecar};
use model::config::selects;
use model::mesh::{MESH, VirtualServiceEntry};
use model::service::{Service, ServicePort};
use model::{Config, Mesh, ProxyKind, Ref};

use crate::class::SharedView;
pub use difference::Difference;

use imports::Imports;
use seen::Owners;
use union::Union;

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
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The Sidecar that applies, if any.
    pub sidecar: Option<Ref<Config<Sidecar>>>,
    /// Its egress listeners in order; at least one.
    pub egress: Vec<EgressListener>,
    /// All services of all listeners and of the destinations of their VirtualServices, each host once: what has
    /// clusters.
    pub services: Vec<ScopedService>,
    /// Positions in `services`, which alone say what a scope is.
    by_host: HashMap<Arc<str>, usize>,
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.sidecar == other.sidecar && self.egress == other.egress && self.services == other.services
    }
}

impl Eq for Scope {}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.sidecar, &self.egress, &self.services).hash(state);
    }
}

impl Scope {
    /// The service that this scope means by `host`.
    pub fn service(&self, host: &str) -> Option<&ScopedService> {
        self.services.get(*self.by_host.get(host)?)
    }
}

/// Computes the scope of a class.
pub fn plan(mesh: &Mesh, view: &SharedView) -> Scope {
    let sidecar = select(mesh, view);
    let declared = sidecar.as_ref().map(|s| s.spec.egress.as_slice()).unwrap_or_default();
    let listeners: Vec<Listener<'_>> = if declared.is_empty() {
        vec![everything(mesh, view)]
    } else {
        declared.iter().enumerate().map(|(at, d)| imported(mesh, view, at, d)).collect()
    };
    let mut union = Union::with_capacity(listeners.iter().map(|l| l.services.len()).sum());
    for (scoped, service) in listeners.iter().flat_map(|l| &l.services) {
        union.add(service, scoped.ports.clone());
    }
    if view.kind == ProxyKind::Sidecar {
        for entry in listeners.iter().flat_map(|l| &l.virtual_services) {
            union.add_destinations(mesh, &entry.config.spec, &view.namespace);
        }
    }
    let egress = listeners.into_iter().map(Listener::finish).collect();
    Scope { sidecar, egress, services: union.services, by_host: union.by_host }
}

/// An egress listener in the making: its services as they are imported, and as the mesh has them.
struct Listener<'a> {
    index: Option<usize>,
    services: Vec<(ScopedService, &'a Ref<Service>)>,
    virtual_services: Vec<Ref<VirtualServiceEntry>>,
}

impl<'a> Listener<'a> {
    fn new(
        index: Option<usize>,
        mesh: &'a Mesh,
        view: &SharedView,
        mut services: Vec<(ScopedService, &'a Ref<Service>)>,
        virtual_services: impl Iterator<Item = &'a Ref<VirtualServiceEntry>>,
    ) -> Self {
        let owners = Owners::among(&mesh.services, services.iter().map(|(_, s)| *s), &view.namespace);
        services.retain(|(_, service)| owners.admit(service));
        let router = view.kind == ProxyKind::Router;
        let virtual_services = virtual_services.filter(|v| router || v.applies_to(MESH)).cloned().collect();
        Self { index, services, virtual_services }
    }

    fn finish(self) -> EgressListener {
        let services = self.services.into_iter().map(|(scoped, _)| scoped).collect();
        EgressListener { index: self.index, services, virtual_services: self.virtual_services }
    }
}

/// The listener of those who import everything that they see.
fn everything<'a>(mesh: &'a Mesh, view: &SharedView) -> Listener<'a> {
    let services = seen::services(mesh, &view.namespace, None).into_iter();
    let services = services.map(|s| (ScopedService { service: s.clone(), ports: None }, s)).collect();
    let virtual_services = mesh.virtual_services.visible_to(&view.namespace, None);
    Listener::new(None, mesh, view, services, virtual_services.into_iter())
}

/// A listener of a Sidecar.
fn imported<'a>(
    mesh: &'a Mesh,
    view: &SharedView,
    index: usize,
    declared: &IstioEgressListener,
) -> Listener<'a> {
    let client = &view.namespace;
    let imports = Imports::of(declared, client);
    let namespaces = imports.namespaces();
    let services = seen::services(mesh, client, namespaces.as_deref()).into_iter();
    let services = services.filter_map(|s| Some((imports.service(s)?, s))).collect();
    let virtual_services = mesh.virtual_services.visible_to(client, namespaces.as_deref()).into_iter();
    Listener::new(Some(index), mesh, view, services, virtual_services.filter(|v| imports.virtual_service(v)))
}

/// The scope that the own plan of a sidecar needs: the Sidecar that applies, without what it imports.
pub fn own(mesh: &Mesh, view: &SharedView) -> Scope {
    Scope { sidecar: select(mesh, view), ..Scope::default() }
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
