//! The services that clients of a namespace see at all, in the order in which the reference lets them win.
//!
//! Source: Istio `pilot/pkg/model/push_context.go`; `shared/spec/xds.md` 6.

use std::collections::HashMap;

use model::mesh::Services;
use model::service::{Registry, Service};
use model::visibility::ExportTo;
use model::{Mesh, Ref};

/// How a service is seen: services of one rank come oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// By its own namespace, which it names.
    Private,
    /// By a namespace that it names.
    Exported,
    /// By everybody.
    Public,
}

impl Rank {
    fn of(export_to: &ExportTo, owner: &str, client: &str) -> Option<Self> {
        match export_to {
            ExportTo::All => Some(Self::Public),
            ExportTo::Nobody => None,
            ExportTo::Namespaces(names) if !names.contains(client) => None,
            ExportTo::Namespaces(_) if owner == client => Some(Self::Private),
            ExportTo::Namespaces(_) => Some(Self::Exported),
        }
    }
}

/// The services that a client sees, by rank; those of one rank stay in their order.
fn ranked<'a>(all: impl Iterator<Item = &'a Ref<Service>>, client: &str) -> Vec<&'a Ref<Service>> {
    let rank = |s: &'a Ref<Service>| Some((Rank::of(&s.export_to, &s.namespace, client)?, s));
    let mut seen: Vec<_> = all.filter_map(rank).collect();
    seen.sort_by_key(|(rank, _)| *rank);
    seen.into_iter().map(|(_, service)| service).collect()
}

/// The services that a namespace sees; of all namespaces, or only of those that are given.
pub(super) fn services<'a>(mesh: &'a Mesh, client: &str, of: Option<&[&str]>) -> Vec<&'a Ref<Service>> {
    let Some(namespaces) = of else { return ranked(mesh.services.all().iter(), client) };
    let mut found: Vec<_> = namespaces
        .iter()
        .filter_map(|namespace| mesh.services.of_namespace(namespace))
        .flat_map(|list| list.iter())
        .collect();
    if namespaces.len() > 1 {
        found.sort_by(|a, b| a.by_age(b));
    }
    ranked(found.into_iter(), client)
}

/// Decides for hosts that services of several namespaces have: which namespace a client means.
pub(super) struct Owners<'a>(HashMap<&'a str, &'a Service>);

impl<'a> Owners<'a> {
    /// The owners among the services that are imported: the client's own namespace, else Kubernetes, else the first.
    pub(super) fn among(
        services: &Services,
        imported: impl Iterator<Item = &'a Ref<Service>>,
        client: &str,
    ) -> Self {
        let mut owners: HashMap<&'a str, &'a Service> = HashMap::new();
        if services.repeated().is_empty() {
            return Self(owners);
        }
        for service in imported.filter(|s| services.repeated().contains(&s.host)) {
            let owner = owners.entry(&service.host).or_insert(service);
            if standing(service, client) < standing(owner, client) {
                *owner = service;
            }
        }
        Self(owners)
    }

    /// Whether a service is of the namespace that owns its host.
    pub(super) fn admit(&self, service: &Service) -> bool {
        self.0.get(&*service.host).is_none_or(|owner| owner.namespace == service.namespace)
    }
}

/// Lower stands above.
fn standing(service: &Service, client: &str) -> (bool, Registry) {
    (&*service.namespace != client, service.registry)
}

/// The service that a VirtualService means by the host of a destination: that of the client's namespace, be it
/// exported there or not; else the one that the client sees.
pub(super) fn destination<'a>(mesh: &'a Mesh, host: &str, client: &str) -> Option<&'a Ref<Service>> {
    let own = mesh.services.of_host(host).iter().filter(|s| &*s.namespace == client);
    own.min_by_key(|s| s.registry).or_else(|| mesh.services.visible(host, client))
}
