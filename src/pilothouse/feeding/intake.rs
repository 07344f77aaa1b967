//! Counts what comes in and what it sets off, under istiod's metric names.
//!
//! Source: Istio `pilot/pkg/xds/monitoring.go`, `pilot/pkg/serviceregistry/kube/controller/controller.go`,
//! `pilot/pkg/config/kube/crdclient/metrics.go`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::{Kind, ObjectKey};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

/// Seconds that bursts are measured in.
const DEBOUNCE: [f64; 9] = [0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];

/// The counters, and which objects are there: what is new is told from what changed.
#[derive(Debug)]
pub(crate) struct Intake {
    config: IntCounterVec,
    registry: IntCounterVec,
    inbound: IntCounterVec,
    triggers: IntCounterVec,
    debounce: Histogram,
    /// By cluster; none stands for the home cluster.
    known: BTreeMap<Option<Arc<str>>, HashSet<ObjectKey>>,
}

impl Intake {
    /// Registers the counters.
    ///
    /// # Errors
    /// One of the names is taken.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let of_events = ["type", "event"];
        let help = "Delay in seconds between the first config enters debouncing and the merged push request is pushed into the push queue.";
        let options = HistogramOpts::new("pilot_debounce_time", help).buckets(DEBOUNCE.to_vec());
        let debounce = Histogram::with_opts(options)?;
        registry.register(Box::new(debounce.clone()))?;
        Ok(Self {
            config: counter("pilot_k8s_cfg_events", "Events from k8s config.", &of_events)?,
            registry: counter("pilot_k8s_reg_events", "Events from k8s registry.", &of_events)?,
            inbound: counter(
                "pilot_inbound_updates",
                "Total number of updates received by pilot.",
                &["type"],
            )?,
            triggers: counter(
                "pilot_push_triggers",
                "Total number of times a push was triggered, labeled by reason for the push.",
                &["type"],
            )?,
            debounce,
            known: BTreeMap::new(),
        })
    }

    /// Counts an object of a cluster (none stands for the home cluster) that came or went; `changed` if it sets off a push.
    pub(crate) fn take(&mut self, cluster: Option<&Arc<str>>, key: &ObjectKey, there: bool, changed: bool) {
        let known = self.known.entry(cluster.cloned()).or_default();
        let new = if there { known.insert(key.clone()) } else { !known.remove(key) };
        let event = match (there, new) {
            (true, true) => "add",
            (true, false) => "update",
            (false, _) => "delete",
        };
        match Source::of(key.kind) {
            Source::Registry(kind) => self.registry.with_label_values(&[kind, event]).inc(),
            Source::Config => self.config.with_label_values(&[key.kind.name(), event]).inc(),
            Source::Other => {}
        }
        let update = match (key.kind, there) {
            (Kind::EndpointSlice, _) => Some("eds"),
            (Kind::Service, true) => Some("svc"),
            (Kind::Service, false) => Some("svcdelete"),
            _ => (Source::of(key.kind) == Source::Config).then_some("config"),
        };
        if let Some(update) = update {
            self.inbound.with_label_values(&[update]).inc();
        }
        if changed {
            self.triggers.with_label_values(&[trigger(key.kind)]).inc();
        }
    }

    /// Counts a mesh that is handed on, with the time since the first of what went into it came.
    pub(crate) fn pushed(&self, age: Duration) {
        self.debounce.observe(age.as_secs_f64());
    }
}

/// Which of the reference's two sources of events has a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Its service registry, under this name.
    Registry(&'static str),
    /// Its configuration.
    Config,
    /// Neither.
    Other,
}

impl Source {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Service => Self::Registry("Services"),
            Kind::EndpointSlice => Self::Registry("EndpointSlices"),
            Kind::Pod => Self::Registry("Pods"),
            Kind::Node => Self::Registry("Nodes"),
            Kind::Namespace => Self::Registry("Namespaces"),
            Kind::Secret | Kind::ConfigMap | Kind::ServiceAccount => Self::Other,
            _ => Self::Config,
        }
    }
}

/// Why a change of an object of this kind sets off a push.
fn trigger(kind: Kind) -> &'static str {
    match kind {
        Kind::EndpointSlice => "endpoint",
        Kind::Service => "service",
        Kind::Pod => "proxy",
        Kind::Namespace => "namespace",
        Kind::Secret => "secret",
        Kind::ConfigMap => "global",
        Kind::Node | Kind::ServiceAccount => "unknown",
        _ => "config",
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn key(kind: Kind, name: &str) -> ObjectKey {
        ObjectKey { kind, namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn objects_that_come_change_and_go_are_counted_under_the_names_that_dashboards_know() {
        let registry = Registry::new();
        let mut intake = Intake::register(&registry).expect("metrics");
        let service = key(Kind::Service, "web");
        intake.take(None, &service, true, true);
        intake.take(None, &service, true, false);
        intake.take(None, &service, false, true);
        intake.take(None, &key(Kind::VirtualService, "web"), true, true);
        intake.take(None, &key(Kind::Secret, "tls"), true, false);
        intake.pushed(Duration::from_millis(20));
        let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        let lines: Vec<&str> =
            text.lines().filter(|l| !l.starts_with('#') && !l.contains("bucket")).collect();
        let expected = [
            "pilot_debounce_time_sum 0.02",
            "pilot_debounce_time_count 1",
            "pilot_inbound_updates{type=\"config\"} 1",
            "pilot_inbound_updates{type=\"svc\"} 2",
            "pilot_inbound_updates{type=\"svcdelete\"} 1",
            "pilot_k8s_cfg_events{event=\"add\",type=\"VirtualService\"} 1",
            "pilot_k8s_reg_events{event=\"add\",type=\"Services\"} 1",
            "pilot_k8s_reg_events{event=\"delete\",type=\"Services\"} 1",
            "pilot_k8s_reg_events{event=\"update\",type=\"Services\"} 1",
            "pilot_push_triggers{type=\"config\"} 1",
            "pilot_push_triggers{type=\"service\"} 2",
        ];
        assert_eq!(lines, expected);
    }
}
