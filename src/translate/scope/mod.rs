//! What a class of proxies sees of the mesh: the Sidecar that applies, its egress listeners, the services and
//! VirtualServices that each imports.
//!
//! Source: Istio `pilot/pkg/model/sidecar.go`; `shared/spec/xds.md` 6.

mod difference;
mod imports;
mod plain;
mod replan;
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
pub(crate) use plain::{is_plain, looks_for};
pub use replan::replan;

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
    pub services: Ref<Vec<ScopedService>>,
    /// The VirtualServices that it imports, in order of precedence.
    pub virtual_services: Ref<Vec<Ref<VirtualServiceEntry>>>,
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
    pub services: Ref<Vec<ScopedService>>,
    /// Positions in `services`, which alone say what a scope is.
    by_host: Arc<HashMap<Arc<str>, usize>>,
    /// How many of the services its listeners import; what comes after is there for destinations.
    imported: usize,
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
    let declared = declared(sidecar.as_deref());
    let listeners: Vec<_> = declared.iter().map(|d| services(mesh, view, *d)).collect();
    let mut union = Union::with_capacity(listeners.iter().map(Vec::len).sum());
    for (scoped, service) in listeners.iter().flatten() {
        union.add(service, scoped.ports.clone());
    }
    let imported = union.services.len();
    let rules: Vec<_> = declared.iter().map(|d| virtual_services(mesh, view, *d)).collect();
    if view.kind == ProxyKind::Sidecar {
        for (rules, declared) in rules.iter().zip(&declared) {
            let only = declared.and_then(|(_, listener)| imports::port(listener));
            for entry in rules {
                union.add_destinations(mesh, &entry.config.spec, &view.namespace, only);
            }
        }
    }
    let egress = listeners.into_iter().zip(rules).zip(&declared).map(|((services, rules), declared)| {
        let services = services.into_iter().map(|(scoped, _)| scoped).collect();
        EgressListener {
            index: declared.map(|(at, _)| at),
            services: Ref::new(services),
            virtual_services: Ref::new(rules),
        }
    });
    let egress = egress.collect();
    let services = Ref::new(union.services);
    Scope { sidecar, egress, services, by_host: Arc::new(union.by_host), imported }
}

/// An egress listener as a Sidecar declares it, with its index; `None` for the built-in catch-all.
type Declared<'a> = Option<(usize, &'a IstioEgressListener)>;

/// The egress listeners that a Sidecar stands for; at least one.
fn declared(sidecar: Option<&Config<Sidecar>>) -> Vec<Declared<'_>> {
    match sidecar.map(|s| s.spec.egress.as_slice()) {
        Some(egress @ [_, ..]) => egress.iter().enumerate().map(Some).collect(),
        _ => vec![None],
    }
}

/// Whether a Sidecar lets clients of a namespace see a service; without one they see all.
pub(crate) fn imports(sidecar: Option<&Config<Sidecar>>, client: &str, service: &Ref<Service>) -> bool {
    let lets_in = |(_, listener): (usize, &IstioEgressListener)| {
        Imports::of(listener, client).service(service).is_some()
    };
    declared(sidecar).into_iter().any(|declared| declared.is_none_or(lets_in))
}

/// The services that a listener imports: as it imports them, and as the mesh has them.
fn services<'a>(
    mesh: &'a Mesh,
    view: &SharedView,
    declared: Declared<'_>,
) -> Vec<(ScopedService, &'a Ref<Service>)> {
    let client = &view.namespace;
    let mut services: Vec<_> = match declared {
        None => {
            let all = seen::services(mesh, client, None).into_iter();
            all.map(|s| (ScopedService { service: s.clone(), ports: None }, s)).collect()
        }
        Some((_, declared)) => {
            let imports = Imports::of(declared, client);
            let all = seen::services(mesh, client, imports.namespaces().as_deref()).into_iter();
            all.filter_map(|s| Some((imports.service(s)?, s))).collect()
        }
    };
    let owners = Owners::among(&mesh.services, services.iter().map(|(_, s)| *s), client);
    services.retain(|(_, service)| owners.admit(service));
    services
}

/// The VirtualServices that a listener imports.
fn virtual_services(mesh: &Mesh, view: &SharedView, declared: Declared<'_>) -> Vec<Ref<VirtualServiceEntry>> {
    let imports = declared.map(|(_, declared)| Imports::of(declared, &view.namespace));
    let namespaces = imports.as_ref().and_then(Imports::namespaces);
    let seen = mesh.virtual_services.visible_to(&view.namespace, namespaces.as_deref()).into_iter();
    let imported = |v: &&Ref<VirtualServiceEntry>| imports.as_ref().is_none_or(|i| i.virtual_service(v));
    seen.filter(|v| applies(view, v)).filter(imported).cloned().collect()
}

/// Whether a VirtualService is meant for proxies of this kind; gateways choose for themselves.
fn applies(view: &SharedView, entry: &VirtualServiceEntry) -> bool {
    view.kind == ProxyKind::Router || entry.applies_to(MESH)
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
