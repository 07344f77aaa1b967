//! Other clusters than the home cluster: what their batches mean.
//!
//! Source: `shared/spec/kubernetes.md` 2.9.

use std::collections::HashSet;
use std::sync::Arc;

use api::Kind;
use debug::{Cluster, Clusters};
use sources::event::{Batch, Event};
use sources::kube::remote::{ClusterStatus, Options, Remotes};
use store::Tables;

use crate::features;
use crate::flags::Discovery;

/// What is read from other clusters, and by which Secrets.
pub(crate) fn options(flags: &Discovery) -> Options {
    let entries = features::cross_cluster_workload_entries();
    let secrets = features::remote_credentials();
    let wanted = |kind: Kind| match kind {
        Kind::WorkloadEntry => entries,
        Kind::Secret => secrets,
        _ => true,
    };
    let read = |kind: &Kind| Tables::reads_in_each_cluster(*kind) && wanted(*kind);
    let namespace = flags.cluster_registries_namespace.clone().filter(|name| !name.is_empty());
    Options {
        namespace: namespace.unwrap_or_else(|| flags.namespace.clone()),
        kinds: Kind::ALL.iter().copied().filter(read).collect(),
        timeout: features::remote_cluster_timeout(),
        allowed: features::insecure_kubeconfig_options(),
    }
}

/// The clusters for `/debug/clusterz`.
pub(crate) fn clusterz(remotes: Remotes) -> Clusters {
    let cluster = |known: ClusterStatus| Cluster {
        id: known.cluster.to_string(),
        secret_name: known.secret,
        sync_status: known.status.name(),
    };
    Arc::new(move || remotes.list().into_iter().map(cluster).collect())
}

/// Adds to a complete batch of a named cluster that everything else known of that cluster is gone.
pub(crate) fn say_what_is_gone(batch: &mut Batch, tables: &Tables) {
    let Some(cluster) = batch.cluster.as_ref().filter(|_| batch.complete) else { return };
    let said: HashSet<_> = batch.events.iter().map(|event| &event.key).collect();
    let gone = tables.known_in(cluster).filter(|key| !said.contains(key));
    let gone: Vec<Event> = gone.map(|key| Event { key, object: None }).collect();
    batch.events.extend(gone);
}

#[cfg(test)]
mod tests {
    use api::decode::decode;
    use serde_json::json;
    use store::Options;

    use super::*;

    #[test]
    fn what_a_complete_batch_does_not_say_is_gone_from_its_cluster_alone() {
        let event = |name: &str| {
            let service = json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": "shop"}, "spec": {"clusterIP": "10.0.0.1"}});
            let object = decode(service).expect("a Service").object;
            Event { key: object.key(), object: Some(Arc::new(object)) }
        };
        let (old, kept) = (event("old"), event("kept"));
        let (east, west): (Arc<str>, Arc<str>) = ("east".into(), "west".into());
        let mut tables = Tables::new(Options::default());
        for (cluster, event) in [(&east, &old), (&east, &kept), (&west, &old)] {
            tables.apply_in(cluster, &event.key, event.object.as_deref());
        }
        let mut batch = Batch {
            cluster: Some(Arc::clone(&east)),
            complete: true,
            events: vec![kept.clone()],
            ..Batch::default()
        };
        let later = Batch { complete: false, ..batch.clone() };
        say_what_is_gone(&mut batch, &tables);
        assert_eq!(batch.events, [kept, Event { key: old.key, object: None }]);
        let mut same = later.clone();
        say_what_is_gone(&mut same, &tables);
        assert_eq!(same, later, "a batch that is not complete says what it says");
    }
}
