//! How the sources of all clusters fare, as metrics.
//!
//! Source: Istio `pkg/kube/multicluster/secretcontroller.go`, `cluster.go`; `shared/spec/operations.md` 3.3.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use sources::kube::remote::{Remotes, SyncStatus};

/// Metrics that are read off the sources whenever somebody asks.
struct ClusterMetrics {
    clusters: Remotes,
    reachable: IntGaugeVec,
    listed: IntGaugeVec,
    failing: IntGaugeVec,
    managed: IntGaugeVec,
    synced: IntGaugeVec,
    timeouts: IntCounterVec,
    secrets: IntCounterVec,
}

/// Registers the metrics.
///
/// # Errors
/// One of the names is taken.
pub(crate) fn register(registry: &Registry, clusters: Remotes) -> prometheus::Result<()> {
    let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
    let counter = |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
    registry.register(Box::new(ClusterMetrics {
        reachable: gauge(
            "pilothouse_kubernetes_reachable",
            "Whether a cluster's API server answers.",
            &["cluster"],
        )?,
        listed: gauge(
            "pilothouse_kubernetes_kind_listed",
            "Whether a kind's objects have been listed.",
            &["cluster", "kind"],
        )?,
        failing: gauge(
            "pilothouse_kubernetes_kind_failing",
            "Whether a kind cannot be followed now.",
            &["cluster", "kind"],
        )?,
        managed: gauge("istiod_managed_clusters", "Number of clusters managed by istiod", &["cluster_type"])?,
        synced: gauge(
            "istiod_remote_cluster_sync_status",
            "Current synchronization state of remote clusters managed by istiod. One sample per cluster and state; a value \
             of 1 indicates the cluster is in that state.",
            &["cluster", "cluster_type", "status"],
        )?,
        timeouts: counter(
            "remote_cluster_sync_timeouts_total",
            "Number of times remote clusters took too long to sync, causing slow startup that excludes remote clusters.",
            "cluster",
        )?,
        secrets: counter(
            "remote_cluster_secret_events_total",
            "Number of remote cluster secret events.",
            "event",
        )?,
        clusters,
    }))
}

impl ClusterMetrics {
    fn read_sources(&self) {
        [&self.reachable, &self.listed, &self.failing].into_iter().for_each(|gauge| gauge.reset());
        for health in self.clusters.healths() {
            let cluster = health.cluster();
            self.reachable.with_label_values(&[cluster]).set(health.reachable().into());
            for kind in health.kinds() {
                self.listed.with_label_values(&[cluster, &kind.name]).set(kind.listed.into());
                self.failing.with_label_values(&[cluster, &kind.name]).set(kind.failing.into());
            }
        }
    }

    fn read_remotes(&self) {
        let remotes = self.clusters.remotes();
        self.managed.with_label_values(&["local"]).set(1);
        self.managed.with_label_values(&["remote"]).set(i64::try_from(remotes.len()).unwrap_or(i64::MAX));
        self.synced.reset();
        for known in remotes {
            for status in [SyncStatus::Synced, SyncStatus::Syncing, SyncStatus::Timeout] {
                let labels = [&*known.cluster, "remote", status.name()];
                self.synced.with_label_values(&labels).set((known.status == status).into());
            }
        }
        self.timeouts.reset();
        for (cluster, count) in self.clusters.timeouts() {
            self.timeouts.with_label_values(&[&*cluster]).inc_by(count);
        }
        self.secrets.reset();
        for (event, count) in self.clusters.secret_events() {
            self.secrets.with_label_values(&[event.name()]).inc_by(count);
        }
    }
}

impl Collector for ClusterMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.reachable, &self.listed, &self.failing, &self.managed, &self.synced];
        let counters = [&self.timeouts, &self.secrets];
        gauges.into_iter().flat_map(|g| g.desc()).chain(counters.into_iter().flat_map(|c| c.desc())).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read_sources();
        self.read_remotes();
        let gauges = [&self.reachable, &self.listed, &self.failing, &self.managed, &self.synced];
        let counters = [&self.timeouts, &self.secrets];
        let all = gauges.into_iter().flat_map(|g| g.collect());
        all.chain(counters.into_iter().flat_map(|c| c.collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;
    use sources::kube::Health;

    use super::*;

    #[test]
    fn a_cluster_that_nothing_is_wrong_with_is_reachable() {
        let registry = Registry::new();
        register(&registry, Remotes::new(Health::new("home"))).expect("metrics");
        let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        for line in [
            "pilothouse_kubernetes_reachable{cluster=\"home\"} 1",
            "istiod_managed_clusters{cluster_type=\"local\"} 1",
            "istiod_managed_clusters{cluster_type=\"remote\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
