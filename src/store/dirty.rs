//! What the objects applied since the last mesh touch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Object;
use api::kubernetes::EndpointSlice;
use model::mesh::Account;

use crate::registry::Registry;
use crate::tables::Id;

/// Marks, by what has to be derived again.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Of the home cluster.
    pub(crate) home: Touched,
    /// Of other clusters, by their names.
    pub(crate) remotes: BTreeMap<Arc<str>, Touched>,
    pub(crate) settings: bool,
    /// Roots of trust in ConfigMaps.
    pub(crate) roots: bool,
    /// Service accounts that may have other secrets.
    pub(crate) accounts: BTreeSet<Account>,
    /// Host names have other addresses.
    pub(crate) resolved: bool,
    pub(crate) ingresses: BTreeSet<Id>,
    pub(crate) ingress_classes: BTreeSet<Id>,
    pub(crate) service_entries: BTreeSet<Id>,
    pub(crate) virtual_services: BTreeSet<Id>,
    pub(crate) destination_rules: BTreeSet<Id>,
    pub(crate) gateways: bool,
    pub(crate) sidecars: bool,
    pub(crate) peer_authentications: bool,
    pub(crate) request_authentications: bool,
    /// Keys were fetched.
    pub(crate) jwks: bool,
    /// Other roots are trusted.
    pub(crate) trusted: bool,
    pub(crate) authorization_policies: bool,
    pub(crate) reference_grants: bool,
}

/// What the objects of one cluster touch.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) namespaces: bool,
    pub(crate) nodes: bool,
    pub(crate) services: BTreeSet<Id>,
    /// Namespaces whose workload entries changed.
    pub(crate) workload_entries: BTreeSet<Arc<str>>,
    pub(crate) pods: BTreeSet<Id>,
    /// Kubernetes Services whose slices changed.
    pub(crate) slices_of: BTreeSet<Id>,
    /// Namespaces whose Secrets changed.
    pub(crate) secrets: BTreeSet<Arc<str>>,
}

impl Dirty {
    /// What touches endpoints and secrets alone; the rest stays.
    pub(crate) fn take_endpoints(&mut self) -> Self {
        let remotes =
            self.remotes.iter_mut().map(|(name, touched)| (Arc::clone(name), touched.take_endpoints()));
        Self {
            home: self.home.take_endpoints(),
            remotes: remotes.collect(),
            roots: std::mem::take(&mut self.roots),
            accounts: std::mem::take(&mut self.accounts),
            ..Self::default()
        }
    }
}

impl Touched {
    fn take_endpoints(&mut self) -> Self {
        Self {
            pods: std::mem::take(&mut self.pods),
            slices_of: std::mem::take(&mut self.slices_of),
            workload_entries: std::mem::take(&mut self.workload_entries),
            secrets: std::mem::take(&mut self.secrets),
            ..Self::default()
        }
    }
}

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const IMPORTED_SERVICE: &str = "multicluster.kubernetes.io/service-name";

/// The Service that a slice belongs to; imported slices belong to none.
pub(crate) fn service_of_slice(slice: &Object<EndpointSlice>) -> Option<Id> {
    if slice.meta.labels.contains_key(IMPORTED_SERVICE) {
        return None;
    }
    let name = slice.meta.labels.get(SERVICE_NAME).filter(|n| !n.is_empty())?;
    Some((Arc::clone(&slice.meta.namespace), Arc::from(name.as_str())))
}

/// The pods that a slice names.
fn pods_of_slice(slice: &Object<EndpointSlice>) -> impl Iterator<Item = Id> {
    slice.spec.endpoints.iter().filter_map(|e| {
        let target = e.target_ref.as_ref().filter(|t| t.kind == "Pod")?;
        let namespace = if target.namespace.is_empty() {
            Arc::clone(&slice.meta.namespace)
        } else {
            Arc::from(target.namespace.as_str())
        };
        Some((namespace, Arc::from(target.name.as_str())))
    })
}

impl Registry {
    pub(crate) fn slice_changed(
        &mut self,
        touched: &mut Touched,
        id: &Id,
        old: Option<&Object<EndpointSlice>>,
        new: Option<&Object<EndpointSlice>>,
    ) {
        if let Some(old) = old
            && let Some(service) = service_of_slice(old)
        {
            if let Some(names) = self.slices_of.get_mut(&service) {
                names.remove(&id.1);
            }
            self.forget_pods(old, &service);
            touched.slices_of.insert(service);
        }
        if let Some(new) = new
            && let Some(service) = service_of_slice(new)
        {
            self.slices_of.entry(service.clone()).or_default().insert(Arc::clone(&id.1));
            for pod in pods_of_slice(new) {
                self.services_of_pod.entry(pod).or_default().insert(service.clone());
            }
            touched.slices_of.insert(service);
        }
    }

    /// Drops the links from a slice's pods to its service, but for pods that another slice of it names.
    fn forget_pods(&mut self, slice: &Object<EndpointSlice>, service: &Id) {
        let others: BTreeSet<Id> = self
            .slices_of
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|name| self.slices.get(&(Arc::clone(&service.0), Arc::clone(name))))
            .flat_map(|s| pods_of_slice(s).collect::<Vec<_>>())
            .collect();
        for pod in pods_of_slice(slice).filter(|p| !others.contains(p)) {
            if let Some(services) = self.services_of_pod.get_mut(&pod) {
                services.remove(service);
                if services.is_empty() {
                    self.services_of_pod.remove(&pod);
                }
            }
        }
    }
}
