//! Endpoints of the services: from EndpointSlices, from ServiceEntries, from selected pods and workload entries.

mod entry;
mod selected;
mod slices;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::endpoint::ServiceEndpoints;
use model::mesh::{Changes, ServiceKey};
use model::service::Registry;
use model::{Mesh, Ref};

use crate::dirty::Dirty;
use crate::tables::{Id, Tables};

impl Tables {
    /// Collects the endpoints of the services that are touched again, and notes which differ.
    pub(crate) fn update_endpoints(
        &self,
        mesh: &mut Mesh,
        dirty: &Dirty,
        pods: &BTreeSet<Id>,
        entries: &BTreeSet<Arc<str>>,
        resettled: bool,
        changes: &mut Changes,
    ) {
        let all = resettled || dirty.nodes || dirty.namespaces;
        let touched =
            if all { self.every_service(mesh) } else { self.touched_services(mesh, dirty, pods, entries) };
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
        pods: &BTreeSet<Id>,
        entries: &BTreeSet<Arc<str>>,
    ) -> BTreeSet<ServiceKey> {
        let mut touched = BTreeSet::new();
        for (namespace, name) in dirty.slices_of.iter().chain(&dirty.services) {
            touched.insert((self.host_of(namespace, name), Arc::clone(namespace)));
        }
        for pod in pods {
            for (namespace, name) in self.services_of_pod.get(pod).into_iter().flatten() {
                touched.insert((self.host_of(namespace, name), Arc::clone(namespace)));
            }
        }
        let pod_namespaces: BTreeSet<&Arc<str>> = pods.iter().map(|(ns, _)| ns).collect();
        for namespace in pod_namespaces {
            self.add_services(mesh, namespace, &mut touched, |s| {
                (s.registry == Registry::External && s.selector.is_some())
                    || self.has_anonymous_slices(namespace, &s.name)
            });
        }
        for namespace in entries {
            self.add_services(mesh, namespace, &mut touched, |s| s.selector.is_some());
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

    fn add_services(
        &self,
        mesh: &Mesh,
        namespace: &Arc<str>,
        touched: &mut BTreeSet<ServiceKey>,
        wanted: impl Fn(&model::service::Service) -> bool,
    ) {
        let services = mesh.services.of_namespace(namespace).map(|l| l.as_slice()).unwrap_or_default();
        touched.extend(
            services.iter().filter(|s| wanted(s)).map(|s| (Arc::clone(&s.host), Arc::clone(namespace))),
        );
    }

    fn host_of(&self, namespace: &Arc<str>, name: &Arc<str>) -> Arc<str> {
        match self.converted.get(&(Arc::clone(namespace), Arc::clone(name))) {
            Some(service) => Arc::clone(&service.host),
            None => Arc::from(model::hostname::of_service(name, namespace, &self.settings.domain)),
        }
    }

    /// All endpoints behind a host of a namespace; none if no service has it.
    fn endpoints_of(
        &self,
        mesh: &Mesh,
        (host, namespace): &ServiceKey,
    ) -> Option<Vec<model::endpoint::Endpoint>> {
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
        for service in services {
            match service.registry {
                Registry::Kubernetes => {
                    endpoints.extend(self.endpoints_of_slices(mesh, &service));
                    endpoints.extend(self.endpoints_of_selected_entries(&service));
                }
                Registry::External => endpoints.extend(self.endpoints_of_entry(mesh, &service)),
            }
        }
        Some(endpoints)
    }
}
