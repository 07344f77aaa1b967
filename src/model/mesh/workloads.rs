//! The workloads section: pods and workload entries, as proxies find themselves in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::content::Ref;
use crate::endpoint::Workload;

/// A container port that a service may name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// Its name.
    pub name: Arc<str>,
    /// Its number.
    pub number: u16,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its name.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its addresses, the primary one first.
    pub addresses: Vec<Arc<str>>,
    /// Named TCP container ports, in order.
    pub ports: Vec<ContainerPort>,
    /// Ready, not being deleted, not finished.
    pub ready: bool,
    /// Its containers have ended and are not started again.
    pub finished: bool,
    /// What its endpoints say of it.
    pub workload: Ref<Workload>,
}

/// Pods and workload entries by namespace.
#[derive(Clone, Debug, Default)]
pub struct Workloads {
    /// Pods by namespace, then name.
    pub pods: BTreeMap<Arc<str>, Arc<BTreeMap<Arc<str>, Ref<Pod>>>>,
    /// Workload entries by namespace, oldest first.
    pub entries: BTreeMap<Arc<str>, Arc<Vec<Ref<Config<api::istio::WorkloadEntry>>>>>,
}

impl Workloads {
    /// The pod of this name.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Ref<Pod>> {
        self.pods.get(namespace)?.get(name)
    }

    /// The workload entries of a namespace, oldest first.
    pub fn entries_of(&self, namespace: &str) -> &[Ref<Config<api::istio::WorkloadEntry>>] {
        self.entries.get(namespace).map_or(&[], |e| e.as_slice())
    }
}
