//! Endpoints of the services: from EndpointSlices, from ServiceEntries, from selected pods and workload entries.

mod entry;
mod selected;
mod slices;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::endpoint::{Endpoint, ServiceEndpoints};
use model::mesh::{Changes, ServiceKey, Settings, Workloads};
use model::service::{self, Resolution, Service};
use model::{Mesh, Ref};

use crate::dirty::{Dirty, Touched};
use crate::moved::{Moved, MovedIn};
use crate::next::Resettled;
use crate::registry::Registry;
use crate::tables::Tables;

impl Tables {
    /// Collects the endpoints of the services that are touched again, and notes which differ.
    pub(crate) fn update_endpoints(
        &self,
        mesh: &mut Mesh,
        dirty: &Dirty,
        moved: &Moved,
        resettled: &Resettled,
        changes: &mut Changes,
    ) {
        let all = resettled.all || dirty.home.nodes || dirty.home.namespaces;
        let touched =
            if all { self.every_service(mesh) } else { self.touched_services(mesh, dirty, moved, resettled) };
        let mut section = None;
        for key in touched {
            let new = self.endpoints_of(mesh, &key).map(ServiceEndpoints::new);
            let old = mesh.endpoints.by_service.get(&key);
            let same = |a: &ServiceEndpoints, b: &ServiceEndpoints| a.endpoints == b.endpoints;
            match (old, &new) {
                (Some(old), Some(new)) if same(old, new) => continue,
                (None, None) => continue,
                _ => {}
            }
            let accounts = |e: Option<&ServiceEndpoints>| e.map(|e| (e.identities.clone(), e.all_mtls));
            if accounts(old.map(|o| &**o)) != accounts(new.as_ref()) {
                changes.identities.insert(key.clone());
            }
            let section = section.get_or_insert_with(|| (*mesh.endpoints).clone());
            match new {
                Some(new) => section.by_service.insert(key.clone(), Arc::new(new)),
                None => section.by_service.remove(&key),
            };
            changes.endpoints.insert(key);
        }
        if let Some(section) = section {
            mesh.endpoints = Arc::new(section);
        }
    }

    fn every_service(&self, mesh: &Mesh) -> BTreeSet<ServiceKey> {
        let known = mesh.services.all().iter().map(|s| (Arc::clone(&s.host), Arc::clone(&s.namespace)));
        known.chain(mesh.endpoints.by_service.keys().cloned()).collect()
    }

    /// The services whose endpoints may differ.
    fn touched_services(
        &self,
        mesh: &Mesh,
        dirty: &Dirty,
        moved: &Moved,
        resettled: &Resettled,
    ) -> BTreeSet<ServiceKey> {
        let mut touched = BTreeSet::new();
        self.touched_in(&self.home, mesh, &dirty.home, &moved.home, &mut touched);
        let (nothing, unmoved) = (Touched::default(), MovedIn::default());
        for (cluster, registry) in &self.remotes {
            let of_cluster = dirty.remotes.get(cluster).unwrap_or(&nothing);
            let moved = moved.remotes.get(cluster).unwrap_or(&unmoved);
            self.touched_in(registry, mesh, of_cluster, moved, &mut touched);
            if resettled.remote(cluster) || of_cluster.nodes || of_cluster.namespaces {
                self.touched_by_all_of(registry, mesh, &mut touched);
            }
        }
        for id in &dirty.service_entries {
            let now = self.converted_entries.get(id).into_iter().flatten().map(|s| Arc::clone(&s.host));
            let before = mesh
                .endpoints
                .by_service
                .keys()
                .filter(|(_, ns)| *ns == id.0)
                .map(|(host, _)| Arc::clone(host));
            touched.extend(now.chain(before).map(|host| (host, Arc::clone(&id.0))));
        }
        touched
    }

    /// Those that have anything of a cluster.
    fn touched_by_all_of(&self, registry: &Registry, mesh: &Mesh, touched: &mut BTreeSet<ServiceKey>) {
        let keys = registry.services.keys();
        touched.extend(keys.map(|(ns, name)| (self.host_of(registry, ns, name), Arc::clone(ns))));
        let workloads = registry.workload_entries.keys().chain(registry.pods.keys());
        let namespaces: BTreeSet<&Arc<str>> = workloads.map(|(namespace, _)| namespace).collect();
        for namespace in namespaces {
            self.add_services(mesh, namespace, touched, |s| {
                s.registry == service::Registry::External && s.selector.is_some()
            });
        }
    }

    /// Those whose endpoints may differ by what is new of one cluster.
    fn touched_in(
        &self,
        registry: &Registry,
        mesh: &Mesh,
        of_cluster: &Touched,
        moved: &MovedIn,
        touched: &mut BTreeSet<ServiceKey>,
    ) {
        let MovedIn { pods, entries } = moved;
        for (namespace, name) in of_cluster.slices_of.iter().chain(&of_cluster.services) {
            touched.insert((self.host_of(registry, namespace, name), Arc::clone(namespace)));
        }
        for pod in pods {
            for (namespace, name) in registry.services_of_pod.get(pod).into_iter().flatten() {
                touched.insert((self.host_of(registry, namespace, name), Arc::clone(namespace)));
            }
        }
        let pod_namespaces: BTreeSet<&Arc<str>> = pods.iter().map(|(ns, _)| ns).collect();
        for namespace in pod_namespaces {
            self.add_services(mesh, namespace, touched, |s| {
                (s.registry == service::Registry::External && s.selector.is_some())
                    || registry.has_anonymous_slices(namespace, &s.name)
            });
        }
        for namespace in entries {
            let selects = |s: &Service| s.selector.is_some();
            let remote = |s: &Service| s.remotes.iter().any(|(_, own)| own.selector.is_some());
            self.add_services(mesh, namespace, touched, |s| selects(s) || remote(s));
        }
    }

    fn add_services(
        &self,
        mesh: &Mesh,
        namespace: &Arc<str>,
        touched: &mut BTreeSet<ServiceKey>,
        wanted: impl Fn(&Service) -> bool,
    ) {
        let services = mesh.services.of_namespace(namespace).map(|l| l.as_slice()).unwrap_or_default();
        touched.extend(
            services.iter().filter(|s| wanted(s)).map(|s| (Arc::clone(&s.host), Arc::clone(namespace))),
        );
    }

    fn host_of(&self, registry: &Registry, namespace: &Arc<str>, name: &Arc<str>) -> Arc<str> {
        match registry.converted.get(&(Arc::clone(namespace), Arc::clone(name))) {
            Some(service) => Arc::clone(&service.host),
            None => Arc::from(model::hostname::of_service(name, namespace, &self.settings.domain)),
        }
    }

    /// All endpoints behind a host of a namespace, of the home cluster first; none if no service has it.
    fn endpoints_of(&self, mesh: &Mesh, (host, namespace): &ServiceKey) -> Option<Vec<Endpoint>> {
        let services: Vec<_> = mesh
            .services
            .of_host(host)
            .iter()
            .filter(|s| s.namespace == *namespace)
            .map(Ref::clone)
            .collect();
        if services.is_empty() {
            return None;
        }
        let mut endpoints = Vec::new();
        let mut single = BTreeSet::new();
        for found in services {
            match found.registry {
                service::Registry::External => {
                    let mut own = self.endpoints_of_entry(mesh, &found);
                    if found.resolution == Resolution::DnsRoundRobin {
                        // Envoy takes one name in such a cluster, and refuses it with more.
                        own.retain(|e| single.insert(found.number_of(&e.port_name)));
                    }
                    endpoints.extend(own);
                }
                service::Registry::Kubernetes => {
                    for of in self.clusters(mesh) {
                        let own = mesh.service_in(&of.registry.cluster, &found);
                        endpoints.extend(own.into_iter().flat_map(|own| of.endpoints_of_service(own)));
                    }
                }
            }
        }
        Some(endpoints)
    }

    /// What each cluster says, the home cluster first.
    fn clusters<'a>(&'a self, mesh: &'a Mesh) -> impl Iterator<Item = InCluster<'a>> {
        let home =
            InCluster { registry: &self.home, workloads: Some(&mesh.workloads), settings: &self.settings };
        let remotes = self.remotes.iter().map(|(cluster, registry)| {
            let workloads = mesh.remotes.get(cluster).map(|workloads| &**workloads);
            InCluster { registry, workloads, settings: &self.settings }
        });
        std::iter::once(home).chain(remotes)
    }
}

/// What a cluster says, to find endpoints in.
#[derive(Clone, Copy, Debug)]
struct InCluster<'a> {
    registry: &'a Registry,
    /// Its pods and workload entries as the mesh has them, if there are any.
    workloads: Option<&'a Workloads>,
    settings: &'a Settings,
}

impl InCluster<'_> {
    /// The endpoints in the cluster of a Service of it.
    fn endpoints_of_service(&self, service: &Service) -> Vec<Endpoint> {
        let mut endpoints = self.endpoints_of_slices(service);
        endpoints.extend(self.endpoints_of_selected_entries(service));
        endpoints
    }
}
