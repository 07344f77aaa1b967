//! Services of the mesh, from Kubernetes Services and from ServiceEntries.

mod aliases;
mod distribution;
mod entry;
mod kubernetes;
mod merge;
mod node_ports;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Kind, ObjectKey, Problem};
use model::mesh::{Services, Settings};
use model::service::Service;
use model::{Mesh, Ref};

use crate::dirty::{Dirty, Touched};
use crate::next::Resettled;
use crate::registry::Registry;
use crate::tables::{Id, Tables};

pub(crate) use aliases::Aliases;

/// What is wrong with Services, by namespace and name; those without problems among them.
type Found = Vec<(Id, Vec<Problem>)>;

impl Registry {
    /// Converts the Services that changed, or all; those whose converted form differs come back, and what is wrong.
    fn convert_services(
        &mut self,
        touched: &Touched,
        settings: &Settings,
        all: bool,
    ) -> (BTreeSet<Id>, Found) {
        let at_nodes: Vec<Id> = if touched.nodes { self.at_nodes().cloned().collect() } else { Vec::new() };
        let touched: BTreeSet<Id> = if all {
            self.services.keys().chain(touched.services.iter()).cloned().collect()
        } else {
            touched.services.iter().cloned().chain(at_nodes).collect()
        };
        let (mut differing, mut found) = (BTreeSet::new(), Vec::new());
        for id in touched {
            let object = self.services.get(&id).filter(|_| self.said.discovers(&id.0));
            let problems = object.map(|object| kubernetes::problems(object)).unwrap_or_default();
            let converted = object.map(|object| {
                let namespace = self.namespaces.get(&(Arc::from(""), Arc::clone(&id.0)));
                let nodes = self.nodes.values().map(|node| &**node);
                Ref::new(kubernetes::convert(object, namespace.map(|n| &**n), nodes, settings))
            });
            found.push((id.clone(), problems));
            if self.converted.get(&id) != converted.as_ref() {
                differing.insert(id.clone());
            }
            match converted {
                Some(service) => self.converted.insert(id, service),
                None => self.converted.remove(&id),
            };
        }
        (differing, found)
    }

    /// The Services that are reached at nodes.
    fn at_nodes(&self) -> impl Iterator<Item = &Id> {
        self.services.iter().filter(|(_, object)| node_ports::applies(object)).map(|(id, _)| id)
    }
}

impl Tables {
    /// Converts the Kubernetes Services that changed, or all of a cluster's. Those that differ come back.
    fn convert_services(&mut self, dirty: &Dirty, resettled: &Resettled) -> BTreeSet<Id> {
        let all = resettled.all || dirty.home.namespaces;
        let (mut differing, found) = self.home.convert_services(&dirty.home, &self.settings, all);
        for (id, problems) in found {
            self.report(&object_key(Kind::Service, &id.0, &id.1), problems);
        }
        let nothing = Touched::default();
        for (cluster, registry) in &mut self.remotes {
            let touched = dirty.remotes.get(cluster).unwrap_or(&nothing);
            let all = resettled.remote(cluster) || touched.namespaces;
            // What is wrong is not told: the API server of that cluster lets none of it pass.
            differing.extend(registry.convert_services(touched, &self.settings, all).0);
        }
        differing
    }

    /// Converts the ServiceEntries that changed, or all.
    fn convert_service_entries(&mut self, dirty: &Dirty, all: bool) {
        let touched: Vec<_> = if all {
            self.service_entries.keys().chain(dirty.service_entries.iter()).cloned().collect()
        } else {
            dirty.service_entries.iter().cloned().collect()
        };
        for id in touched {
            let object = self.service_entries.get(&id).filter(|_| self.home.said.discovers(&id.0));
            match object.cloned() {
                Some(object) => {
                    let namespace = self.home.namespace(&id.0);
                    let (mut services, problems) = entry::convert(&object, &self.settings, namespace);
                    for service in &mut services {
                        service.export_to = self.home.said.limit(service.export_to.clone(), &id.0);
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
        let merged = self.merged_services();
        let all = merged.iter().chain(self.converted_entries.values().flatten());
        all.map(|service| self.aliases.fold(service)).collect()
    }

    /// Services of Kubernetes and of ServiceEntries; true if any differs.
    pub(crate) fn update_services(&mut self, mesh: &mut Mesh, dirty: &Dirty, resettled: &Resettled) -> bool {
        let remote = !resettled.remotes.is_empty()
            || dirty.remotes.values().any(|t| t.namespaces || t.nodes || !t.services.is_empty());
        let all_services = resettled.all || dirty.home.namespaces;
        let moved = dirty.home.nodes && self.home.at_nodes().next().is_some();
        let none = dirty.home.services.is_empty() && dirty.service_entries.is_empty() && !moved;
        if !all_services && none && !remote {
            return false;
        }
        let differing = self.convert_services(dirty, resettled);
        self.convert_service_entries(dirty, all_services);
        let aliases = Aliases::of(self.leading_services());
        let before = std::mem::replace(&mut self.aliases, aliases);
        let next = if all_services {
            let next = Services::new(self.all_services());
            (next.all() != mesh.services.all()).then_some(next)
        } else {
            self.exchange_services(&mesh.services, dirty, &differing, &before)
        };
        let changed = next.is_some();
        if let Some(next) = next {
            mesh.services = Arc::new(next);
        }
        changed
    }

    /// The section with the services of the objects that changed, of those that came out as others (`differing`),
    /// and of those whose aliases did, or which lead elsewhere as aliases, if that differs.
    fn exchange_services(
        &self,
        services: &Services,
        dirty: &Dirty,
        differing: &BTreeSet<Id>,
        before: &Aliases,
    ) -> Option<Services> {
        let key = |kind: Kind| move |(namespace, name): &Id| object_key(kind, namespace, name);
        let changed = dirty.home.services.iter().chain(differing).map(key(Kind::Service));
        let changed = changed.chain(dirty.service_entries.iter().map(key(Kind::ServiceEntry)));
        let renamed = self
            .aliases
            .differing(before)
            .flat_map(|host| services.of_host(host))
            .map(|s| s.source.key.clone());
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
        let defined: Vec<Ref<Service>> = match key.kind {
            Kind::Service => self.merged(&id).into_iter().collect(),
            _ => entries().cloned().collect(),
        };
        defined.iter().map(|service| self.aliases.fold(service)).collect()
    }
}

fn object_key(kind: Kind, namespace: &Arc<str>, name: &Arc<str>) -> ObjectKey {
    ObjectKey { kind, namespace: Arc::clone(namespace), name: Arc::clone(name) }
}
