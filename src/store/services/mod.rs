//! Services of the mesh, from Kubernetes Services and from ServiceEntries.

mod aliases;
mod entry;
mod kubernetes;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Kind, ObjectKey};
use model::mesh::Services;
use model::service::Service;
use model::{Mesh, Ref};

use crate::dirty::Dirty;
use crate::tables::{Id, Tables};

pub(crate) use aliases::Aliases;

impl Tables {
    /// Converts the Kubernetes Services that changed, or all.
    fn convert_services(&mut self, dirty: &Dirty, all: bool) {
        let touched: Vec<_> = if all {
            self.services.keys().chain(dirty.services.iter()).cloned().collect()
        } else {
            dirty.services.iter().cloned().collect()
        };
        for id in touched {
            let object = self.services.get(&id).filter(|_| self.said.discovers(&id.0));
            let problems = object.map(|object| kubernetes::problems(object)).unwrap_or_default();
            let converted = object.map(|object| {
                let namespace = self.namespaces.get(&(Arc::from(""), Arc::clone(&id.0)));
                Ref::new(kubernetes::convert(object, namespace.map(|n| &**n), &self.settings))
            });
            self.report(&object_key(Kind::Service, &id.0, &id.1), problems);
            match converted {
                Some(service) => self.converted.insert(id, service),
                None => self.converted.remove(&id),
            };
        }
    }

    /// Converts the ServiceEntries that changed, or all.
    fn convert_service_entries(&mut self, dirty: &Dirty, all: bool) {
        let touched: Vec<_> = if all {
            self.service_entries.keys().chain(dirty.service_entries.iter()).cloned().collect()
        } else {
            dirty.service_entries.iter().cloned().collect()
        };
        for id in touched {
            let object = self.service_entries.get(&id).filter(|_| self.said.discovers(&id.0));
            match object.cloned() {
                Some(object) => {
                    let (mut services, problems) = entry::convert(&object, &self.settings);
                    for service in &mut services {
                        service.export_to = self.said.limit(service.export_to.clone(), &id.0);
                    }
                    self.report(&object.source.key, problems);
                    self.converted_entries.insert(id, services.into_iter().map(Ref::new).collect());
                }
                None => {
                    self.report(&object_key(Kind::ServiceEntry, &id.0, &id.1), Vec::new());
                    self.converted_entries.remove(&id);
                }
            }
        }
    }

    /// All services, ExternalNames folded into the services that they point to.
    fn all_services(&self) -> Vec<Ref<Service>> {
        let all = self.converted.values().chain(self.converted_entries.values().flatten());
        all.map(|service| aliases::fold(service, &self.aliases)).collect()
    }

    /// Services of Kubernetes and of ServiceEntries; true if any differs.
    pub(crate) fn update_services(&mut self, mesh: &mut Mesh, dirty: &Dirty, all: bool) -> bool {
        let all_services = all || dirty.namespaces;
        if !all_services && dirty.services.is_empty() && dirty.service_entries.is_empty() {
            return false;
        }
        self.convert_services(dirty, all_services);
        self.convert_service_entries(dirty, all);
        let aliases = aliases::of(self.converted.values());
        let before = std::mem::replace(&mut self.aliases, aliases);
        let next = if all_services {
            let next = Services::new(self.all_services());
            (next.all() != mesh.services.all()).then_some(next)
        } else {
            self.exchange_services(&mesh.services, dirty, &before)
        };
        let changed = next.is_some();
        if let Some(next) = next {
            mesh.services = Arc::new(next);
        }
        changed
    }

    /// The section with the services of the objects that changed, and of those whose aliases did, if that differs.
    fn exchange_services(&self, services: &Services, dirty: &Dirty, before: &Aliases) -> Option<Services> {
        let key = |kind: Kind| move |(namespace, name): &Id| object_key(kind, namespace, name);
        let changed = dirty.services.iter().map(key(Kind::Service));
        let changed = changed.chain(dirty.service_entries.iter().map(key(Kind::ServiceEntry)));
        let hosts = before.keys().chain(self.aliases.keys());
        let renamed = hosts.filter(|host| before.get(*host) != self.aliases.get(*host));
        let renamed = renamed.flat_map(|host| services.of_host(host)).map(|s| s.source.key.clone());
        let touched: BTreeSet<ObjectKey> = changed.chain(renamed).collect();
        let (mut gone, mut came) = (Vec::new(), Vec::new());
        for key in touched {
            let known = services.of_namespace(&key.namespace).map(|l| l.as_slice()).unwrap_or_default();
            let old: Vec<_> = known.iter().filter(|s| s.source.key == key).cloned().collect();
            let mut new = self.services_of(&key);
            new.sort_by(|a, b| a.by_age(b));
            if old != new {
                gone.extend(old);
                came.extend(new);
            }
        }
        (!gone.is_empty() || !came.is_empty()).then(|| services.replaced(&gone, &came))
    }

    /// The services that an object defines.
    fn services_of(&self, key: &ObjectKey) -> Vec<Ref<Service>> {
        let id = (Arc::clone(&key.namespace), Arc::clone(&key.name));
        let entries = || self.converted_entries.get(&id).into_iter().flatten();
        let defined: Vec<&Ref<Service>> = match key.kind {
            Kind::Service => self.converted.get(&id).into_iter().collect(),
            _ => entries().collect(),
        };
        defined.into_iter().map(|service| aliases::fold(service, &self.aliases)).collect()
    }
}

fn object_key(kind: Kind, namespace: &Arc<str>, name: &Arc<str>) -> ObjectKey {
    ObjectKey { kind, namespace: Arc::clone(namespace), name: Arc::clone(name) }
}
