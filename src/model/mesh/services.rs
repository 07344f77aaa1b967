//! The services section: all services, and the ways in which they are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::contested;
use crate::content::Ref;
use crate::service::{Registry, Service};

/// All services of the mesh. ExternalName aliases are already folded into the services they point to.
#[derive(Clone, Debug, Default)]
pub struct Services {
    all: Vec<Ref<Service>>,
    by_host: BTreeMap<Arc<str>, Vec<Ref<Service>>>,
    by_namespace: BTreeMap<Arc<str>, Ref<Vec<Ref<Service>>>>,
    contested: BTreeSet<Arc<str>>,
    repeated: BTreeSet<Arc<str>>,
}

impl Services {
    /// Indexes `services`; the order in which they come does not matter.
    pub fn new(mut services: Vec<Ref<Service>>) -> Self {
        services.sort_by(|a, b| a.by_age(b));
        let mut by_host: BTreeMap<Arc<str>, Vec<Ref<Service>>> = BTreeMap::new();
        let mut by_namespace: BTreeMap<Arc<str>, Vec<Ref<Service>>> = BTreeMap::new();
        for service in &services {
            by_host.entry(Arc::clone(&service.host)).or_default().push(service.clone());
            by_namespace.entry(Arc::clone(&service.namespace)).or_default().push(service.clone());
        }
        let by_namespace = by_namespace.into_iter().map(|(ns, list)| (ns, Ref::new(list))).collect();
        let several = by_host.iter().filter(|(_, list)| list.len() > 1);
        let repeated: BTreeSet<_> = several.map(|(host, _)| Arc::clone(host)).collect();
        let mut contested = contested::of(&services, &by_host);
        contested.extend(repeated.iter().cloned());
        Self { all: services, by_host, by_namespace, contested, repeated }
    }

    /// The hosts of services that may have a domain in common with another service; usually none.
    pub fn contested(&self) -> &BTreeSet<Arc<str>> {
        &self.contested
    }

    /// The hosts that several services have; usually none.
    pub fn repeated(&self) -> &BTreeSet<Arc<str>> {
        &self.repeated
    }

    /// All services, oldest first.
    pub fn all(&self) -> &[Ref<Service>] {
        &self.all
    }

    /// The services of a namespace, oldest first.
    pub fn of_namespace(&self, namespace: &str) -> Option<&Ref<Vec<Ref<Service>>>> {
        self.by_namespace.get(namespace)
    }

    /// The services with this exact host, oldest first.
    pub fn of_host(&self, host: &str) -> &[Ref<Service>] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// The service that a client of `namespace` reaches under `host`: that of its own namespace, else a
    /// Kubernetes service, else the oldest that it sees.
    pub fn visible(&self, host: &str, namespace: &str) -> Option<&Ref<Service>> {
        let seen = || self.of_host(host).iter().filter(|s| s.export_to.visible_to(namespace));
        seen()
            .find(|s| &*s.namespace == namespace)
            .or_else(|| seen().find(|s| s.registry == Registry::Kubernetes))
            .or_else(|| seen().next())
    }
}
