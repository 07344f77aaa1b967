//! Services of the mesh, from Kubernetes Services and from ServiceEntries.

mod aliases;
mod entry;
mod kubernetes;

use std::sync::Arc;

use api::{Kind, ObjectKey};
use model::Ref;
use model::service::Service;

use crate::dirty::Dirty;
use crate::tables::Tables;

impl Tables {
    /// Converts the Kubernetes Services that changed, or all.
    pub(crate) fn convert_services(&mut self, dirty: &Dirty, all: bool) {
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
            let key =
                ObjectKey { kind: Kind::Service, namespace: Arc::clone(&id.0), name: Arc::clone(&id.1) };
            self.report(&key, problems);
            match converted {
                Some(service) => self.converted.insert(id, service),
                None => self.converted.remove(&id),
            };
        }
    }

    /// Converts the ServiceEntries that changed, or all.
    pub(crate) fn convert_service_entries(&mut self, dirty: &Dirty, all: bool) {
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
                    let key = ObjectKey {
                        kind: Kind::ServiceEntry,
                        namespace: Arc::clone(&id.0),
                        name: Arc::clone(&id.1),
                    };
                    self.report(&key, Vec::new());
                    self.converted_entries.remove(&id);
                }
            }
        }
    }

    /// All services, ExternalNames folded into the services that they point to.
    pub(crate) fn services_with_aliases(&self) -> Vec<Ref<Service>> {
        let all = self.converted.values().chain(self.converted_entries.values().flatten()).cloned().collect();
        aliases::fold(all)
    }
}
