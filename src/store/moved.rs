//! Which workloads differ from those of the last mesh, cluster by cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Mesh;

use crate::dirty::{Dirty, Touched};
use crate::next::Resettled;
use crate::tables::{Id, Tables};

impl Tables {
    /// Converts the pods of all clusters that changed, and collects their workload entries; all of them if what they are
    /// derived from changed.
    pub(crate) fn update_workloads(&self, mesh: &mut Mesh, dirty: &Dirty, resettled: &Resettled) -> Moved {
        let all = resettled.all;
        let home = self.home.update_workloads(&mut mesh.workloads, &dirty.home, &self.settings, all);
        let mut moved = Moved { home, remotes: BTreeMap::new() };
        let nothing = Touched::default();
        for (cluster, registry) in &self.remotes {
            let touched = dirty.remotes.get(cluster).unwrap_or(&nothing);
            let mut workloads = mesh.remotes.get(cluster).cloned().unwrap_or_default();
            let before = Arc::clone(&workloads);
            let all = resettled.remote(cluster);
            let of = registry.update_workloads(&mut workloads, touched, &self.settings, all);
            moved.remotes.insert(Arc::clone(cluster), of);
            if Arc::ptr_eq(&before, &workloads) {
                continue;
            }
            let remotes = Arc::make_mut(&mut mesh.remotes);
            if workloads.pods.is_empty() && workloads.entries.is_empty() {
                remotes.remove(cluster);
            } else {
                remotes.insert(Arc::clone(cluster), workloads);
            }
        }
        moved
    }
}

/// The workloads that differ from those of the last mesh, by cluster.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) home: MovedIn,
    pub(crate) remotes: BTreeMap<Arc<str>, MovedIn>,
}

/// Those of one cluster.
#[derive(Debug, Default)]
pub(crate) struct MovedIn {
    pub(crate) pods: BTreeSet<Id>,
    /// Namespaces whose workload entries differ.
    pub(crate) entries: BTreeSet<Arc<str>>,
}

impl Moved {
    /// Pods by namespace and name; workload entries by their namespace and no name.
    pub(crate) fn names(&self) -> BTreeSet<Id> {
        let all = std::iter::once(&self.home).chain(self.remotes.values());
        all.flat_map(|moved| {
            let entries = moved.entries.iter().map(|namespace| (Arc::clone(namespace), Arc::from("")));
            moved.pods.iter().cloned().chain(entries)
        })
        .collect()
    }
}
