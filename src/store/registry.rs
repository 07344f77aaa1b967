//! What one cluster says of its services and workloads: the objects that each cluster has for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::decode::AnyObject;
use api::istio::WorkloadEntry;
use api::kubernetes::{EndpointSlice, Namespace, Node, Pod, Service};
use api::{Kind, Object, ObjectKey};
use model::config::Config;
use model::credential::Credential;
use model::service::Service as MeshService;
use model::{Labels, Ref};

use crate::credentials;
use crate::dirty::Touched;
use crate::namespaces::Said;
use crate::tables::{Id, Table, config};

/// The objects of one cluster, and what is derived from each alone.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The cluster's name.
    pub(crate) cluster: Arc<str>,
    pub(crate) namespaces: Table<Namespace>,
    pub(crate) nodes: Table<Node>,
    pub(crate) services: Table<Service>,
    pub(crate) slices: Table<EndpointSlice>,
    pub(crate) pods: Table<Pod>,
    pub(crate) workload_entries: BTreeMap<Id, Ref<Config<WorkloadEntry>>>,
    /// Secrets as far as proxies use them.
    pub(crate) secrets: BTreeMap<Id, Ref<Credential>>,
    /// Slices of each Kubernetes Service, by its namespace and name.
    pub(crate) slices_of: BTreeMap<Id, BTreeSet<Arc<str>>>,
    /// Services whose slices name a pod, by the pod's namespace and name.
    pub(crate) services_of_pod: BTreeMap<Id, BTreeSet<Id>>,
    /// Kubernetes Services as the mesh sees them, aliases not yet folded in.
    pub(crate) converted: BTreeMap<Id, Ref<MeshService>>,
    /// What the labels of namespaces say.
    pub(crate) said: Said,
}

impl Registry {
    /// Of a cluster of which nothing is known.
    pub(crate) fn new(cluster: Arc<str>) -> Self {
        Self {
            cluster,
            namespaces: Table::new(),
            nodes: Table::new(),
            services: Table::new(),
            slices: Table::new(),
            pods: Table::new(),
            workload_entries: BTreeMap::new(),
            secrets: BTreeMap::new(),
            slices_of: BTreeMap::new(),
            services_of_pod: BTreeMap::new(),
            converted: BTreeMap::new(),
            said: Said::default(),
        }
    }

    /// The kinds that each cluster has for itself.
    pub(crate) fn has(kind: Kind) -> bool {
        matches!(
            kind,
            Kind::Namespace
                | Kind::Node
                | Kind::Service
                | Kind::EndpointSlice
                | Kind::Pod
                | Kind::WorkloadEntry
                | Kind::Secret
        )
    }

    /// Takes an object, or its absence; true if it differs from what is known.
    pub(crate) fn apply(
        &mut self,
        touched: &mut Touched,
        key: &ObjectKey,
        object: Option<&AnyObject>,
    ) -> bool {
        let id = (Arc::clone(&key.namespace), Arc::clone(&key.name));
        macro_rules! put {
            ($table:ident, $variant:ident, $form:expr) => {{
                let new = match object {
                    Some(AnyObject::$variant(o)) => Some($form(o)),
                    _ => None,
                };
                exchange(&mut self.$table, &id, new)
            }};
        }
        match key.kind {
            Kind::Namespace => match put!(namespaces, Namespace, Arc::clone) {
                Some(_) => touched.namespaces = true,
                None => return false,
            },
            Kind::Node => match put!(nodes, Node, Arc::clone) {
                Some(_) => touched.nodes = true,
                None => return false,
            },
            Kind::Service => match put!(services, Service, Arc::clone) {
                Some(_) => {
                    touched.services.insert(id.clone());
                    touched.slices_of.insert(id);
                }
                None => return false,
            },
            Kind::EndpointSlice => match put!(slices, EndpointSlice, Arc::clone) {
                Some((old, new)) => self.slice_changed(touched, &id, old.as_deref(), new.as_deref()),
                None => return false,
            },
            Kind::Pod => match put!(pods, Pod, Arc::clone) {
                Some(_) => drop(touched.pods.insert(id)),
                None => return false,
            },
            Kind::WorkloadEntry => match put!(workload_entries, WorkloadEntry, |o| config(key, o)) {
                Some(_) => drop(touched.workload_entries.insert(id.0)),
                None => return false,
            },
            Kind::Secret => {
                let new = match object {
                    Some(AnyObject::Secret(o)) => credentials::read(o),
                    _ => None,
                };
                match exchange(&mut self.secrets, &id, new) {
                    Some(_) => drop(touched.secrets.insert(id.0)),
                    None => return false,
                }
            }
            _ => return false,
        }
        true
    }

    /// Whether nothing is known of the cluster.
    pub(crate) fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
            && self.nodes.is_empty()
            && self.services.is_empty()
            && self.slices.is_empty()
            && self.pods.is_empty()
            && self.workload_entries.is_empty()
            && self.secrets.is_empty()
    }

    /// The objects that are known.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        let tables = [
            (Kind::Namespace, ids(&self.namespaces)),
            (Kind::Node, ids(&self.nodes)),
            (Kind::Service, ids(&self.services)),
            (Kind::EndpointSlice, ids(&self.slices)),
            (Kind::Pod, ids(&self.pods)),
            (Kind::WorkloadEntry, ids(&self.workload_entries)),
            (Kind::Secret, ids(&self.secrets)),
        ];
        tables.into_iter().flat_map(|(kind, ids)| {
            ids.into_iter().map(move |(namespace, name)| ObjectKey { kind, namespace, name })
        })
    }

    /// A namespace, if it is known.
    pub(crate) fn namespace(&self, name: &Arc<str>) -> Option<&Object<Namespace>> {
        self.namespaces.get(&(Arc::from(""), Arc::clone(name))).map(|n| &**n)
    }

    /// Names and labels of the namespaces.
    pub(crate) fn namespace_labels(&self) -> impl Iterator<Item = (&Arc<str>, &Labels)> {
        self.namespaces.values().map(|n| (&n.meta.name, &n.meta.labels))
    }
}

fn ids<S>(table: &BTreeMap<Id, S>) -> Vec<Id> {
    table.keys().cloned().collect()
}

/// Puts a new form, or none, in the place of the old one; both come back if they differ.
fn exchange<S: Clone + PartialEq>(
    table: &mut BTreeMap<Id, S>,
    id: &Id,
    new: Option<S>,
) -> Option<(Option<S>, Option<S>)> {
    if table.get(id) == new.as_ref() {
        return None;
    }
    let old = match &new {
        Some(object) => table.insert(id.clone(), object.clone()),
        None => table.remove(id),
    };
    Some((old, new))
}
