//! The services section: all services, and the ways in which they are looked up.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::contested;
use super::lists::{self, Exchange, Lists};
use crate::content::Ref;
use crate::service::{Alias, Registry, Service};

/// All services of the mesh. ExternalName aliases are already folded into the services they point to.
#[derive(Clone, Debug, Default)]
pub struct Services {
    all: Arc<[Ref<Service>]>,
    by_host: Lists<Service>,
    by_namespace: Lists<Service>,
    contested: Arc<BTreeSet<Arc<str>>>,
    repeated: BTreeSet<Arc<str>>,
}

impl Services {
    /// Indexes `services`; the order in which they come does not matter.
    pub fn new(mut services: Vec<Ref<Service>>) -> Self {
        services.sort_by(|a, b| a.by_age(b));
        let by_host = Lists::new(&services, |s| &s.host);
        let by_namespace = Lists::new(&services, |s| &s.namespace);
        let several = by_host.by_name().iter().filter(|(_, list)| list.len() > 1);
        let repeated: BTreeSet<_> = several.map(|(host, _)| Arc::clone(host)).collect();
        let contested = Arc::new(contested::of(&services, by_host.by_name(), &repeated));
        Self { all: services.into(), by_host, by_namespace, contested, repeated }
    }

    /// These without those that are `gone` and with those that `came`.
    pub fn replaced(&self, gone: &[Ref<Service>], came: &[Ref<Service>]) -> Self {
        let exchange = Exchange::new(gone, came, Service::by_age);
        let all: Arc<[_]> = exchange.apply(&self.all).into();
        let (mut by_host, mut by_namespace) = (self.by_host.clone(), self.by_namespace.clone());
        by_namespace.apply(&exchange, |s| &s.namespace);
        let mut repeated = self.repeated.clone();
        for host in by_host.apply(&exchange, |s| &s.host) {
            if by_host.of(&host).len() > 1 {
                repeated.insert(host);
            } else {
                repeated.remove(&host);
            }
        }
        let contested = if named(gone) == named(came) {
            Arc::clone(&self.contested)
        } else {
            Arc::new(contested::of(&all, by_host.by_name(), &repeated))
        };
        Self { all, by_host, by_namespace, contested, repeated }
    }

    /// The services that are not in `next`, and those that are there only; each oldest first.
    pub fn difference<'a>(&'a self, next: &'a Self) -> (Vec<&'a Ref<Service>>, Vec<&'a Ref<Service>>) {
        if Arc::ptr_eq(&self.all, &next.all) {
            return (Vec::new(), Vec::new());
        }
        lists::difference(&self.all, &next.all, Service::by_age)
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
        self.by_host.of(host)
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

/// All that makes domains of a service.
type Named<'a> = (&'a Arc<str>, [&'a [Arc<str>]; 2], &'a [Alias], Vec<(&'a Arc<str>, &'a [Arc<str>])>);

fn named_by(service: &Ref<Service>) -> Named<'_> {
    let addresses = [service.addresses.as_slice(), service.auto_addresses.as_slice()];
    let remotes = service.remotes.iter().map(|(cluster, service)| (cluster, service.addresses.as_slice()));
    (&service.host, addresses, &service.aliases, remotes.collect())
}

/// What makes domains of services, in an order of its own.
fn named(services: &[Ref<Service>]) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = services.iter().map(named_by).collect();
    all.sort();
    all
}
