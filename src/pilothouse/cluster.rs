//! How the cluster's source fares, as metrics.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use sources::kube::Health;

/// Gauges that are read off the source whenever somebody asks.
struct ClusterMetrics {
    health: Health,
    reachable: IntGauge,
    listed: IntGaugeVec,
    failing: IntGaugeVec,
}

/// Registers the gauges.
///
/// # Errors
/// One of the names is taken.
pub(crate) fn register(registry: &Registry, health: Health) -> prometheus::Result<()> {
    let opts = |name: &str, help: &str| Opts::new(name, help).const_label("cluster", health.cluster());
    registry.register(Box::new(ClusterMetrics {
        reachable: IntGauge::with_opts(opts(
            "pilothouse_kubernetes_reachable",
            "Whether the cluster's API server answers.",
        ))?,
        listed: IntGaugeVec::new(
            opts("pilothouse_kubernetes_kind_listed", "Whether a kind's objects have been listed."),
            &["kind"],
        )?,
        failing: IntGaugeVec::new(
            opts("pilothouse_kubernetes_kind_failing", "Whether a kind cannot be followed now."),
            &["kind"],
        )?,
        health,
    }))
}

impl Collector for ClusterMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.reachable.desc(), self.listed.desc(), self.failing.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.reachable.set(self.health.reachable().into());
        self.listed.reset();
        self.failing.reset();
        for kind in self.health.kinds() {
            self.listed.with_label_values(&[&kind.name]).set(kind.listed.into());
            self.failing.with_label_values(&[&kind.name]).set(kind.failing.into());
        }
        [self.reachable.collect(), self.listed.collect(), self.failing.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn a_cluster_that_nothing_is_wrong_with_is_reachable() {
        let registry = Registry::new();
        register(&registry, Health::new("home")).expect("metrics");
        let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        assert!(text.contains("pilothouse_kubernetes_reachable{cluster=\"home\"} 1"), "{text}");
    }
}
