//! One service of the Services that several clusters have under one name.
//!
//! Source: Istio `pilot/pkg/serviceregistry/aggregate/controller.go`; `shared/spec/kubernetes.md` 2.1. The home cluster
//! comes first; the others come in order of their names, where the reference takes the order in which they were added,
//! which differs from replica to replica.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Ref;
use model::service::Service;

use crate::tables::{Id, Tables};

impl Tables {
    /// The service of a name, over all clusters that have it.
    pub(super) fn merged(&self, id: &Id) -> Option<Ref<Service>> {
        let home = self.home.converted.get(id);
        if self.remotes.is_empty() {
            return home.cloned();
        }
        let remotes = self.remotes.iter();
        let remotes = remotes.filter_map(|(name, r)| Some((Arc::clone(name), r.converted.get(id)?.clone())));
        merge(home, remotes.collect())
    }

    /// All Kubernetes Services, each over all clusters that have it.
    pub(super) fn merged_services(&self) -> Vec<Ref<Service>> {
        if self.remotes.is_empty() {
            return self.home.converted.values().cloned().collect();
        }
        let remotes = self.remotes.values().flat_map(|r| r.converted.keys());
        let ids: BTreeSet<&Id> = self.home.converted.keys().chain(remotes).collect();
        ids.into_iter().filter_map(|id| self.merged(id)).collect()
    }

    /// Each Kubernetes Service as the first cluster says it that has it.
    pub(super) fn leading_services(&self) -> impl Iterator<Item = &Ref<Service>> {
        let led = |at: usize, id: &Id| {
            self.home.converted.contains_key(id)
                || self.remotes.values().take(at).any(|r| r.converted.contains_key(id))
        };
        let remotes = self.remotes.values().enumerate().flat_map(move |(at, registry)| {
            registry.converted.iter().filter(move |(id, _)| !led(at, id)).map(|(_, service)| service)
        });
        self.home.converted.values().chain(remotes)
    }
}

/// Addresses are of each cluster, identities of all; everything else is what the first says.
fn merge(home: Option<&Ref<Service>>, remotes: Vec<(Arc<str>, Ref<Service>)>) -> Option<Ref<Service>> {
    let Some((_, first)) = remotes.first() else { return home.cloned() };
    let mut merged = Service::clone(home.unwrap_or(first));
    if home.is_none() {
        // Clients of clusters that do not have the service know it by one address alone.
        merged.addresses.truncate(1);
        merged.remote_only = true;
    }
    for account in remotes.iter().flat_map(|(_, service)| &service.subject_alt_names) {
        if !merged.subject_alt_names.contains(account) {
            merged.subject_alt_names.push(Arc::clone(account));
        }
    }
    merged.remotes = remotes;
    Some(Ref::new(merged))
}
