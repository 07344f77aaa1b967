//! The metrics of the ADS wire, under the names that istiod's dashboards and alerts read (spec/operations.md 3.2).

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::kind::ResourceType;

const PUSH_SECONDS: [f64; 9] = [0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const SEND_SECONDS: [f64; 8] = [0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const CONVERGENCE_SECONDS: [f64; 8] = [0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const CONFIG_BYTES: [f64; 6] = [1.0, 1e4, 1e6, 4e6, 1e7, 4e7];

/// What the wire counts. Clones share their values.
#[derive(Clone)]
pub struct Metrics {
    /// `pilot_xds`: connected clients by the proxy's version; a version that leaves stays at 0.
    pub clients: IntGaugeVec,
    /// `pilot_xds_pushes`: responses by type, and failures as `cds_senderr` ...
    pub pushes: IntCounterVec,
    /// `pilot_xds_push_time`: making and sending one type, in seconds.
    pub push_time: HistogramVec,
    /// `pilot_xds_send_time`: from the response to its last byte taken by the transport, in seconds.
    pub send_time: Histogram,
    /// `pilot_proxy_queue_time`: from the change to the stream's looking at it, in seconds.
    pub queue_time: Histogram,
    /// `pilot_proxy_convergence_time`: from the change to its last response sent, in seconds.
    pub convergence_time: Histogram,
    /// `pilot_xds_config_size_bytes`: responses by full type URL.
    pub config_size: HistogramVec,
    /// `pilot_total_xds_rejects`: refusals by type.
    pub rejects: IntCounterVec,
    /// `pilot_xds_{cds,eds,lds,rds}_reject`: 1 for a node that refused, never cleared.
    rejecting: [Option<IntGaugeVec>; ResourceType::COUNT],
    /// `pilot_xds_expired_nonce`: requests that speak of an old response, by type.
    pub expired_nonce: IntCounterVec,
    /// `pilot_total_xds_internal_errors`: streams that broke in a way that no client should see.
    pub internal_errors: IntCounter,
    /// `pilot_xds_recv_max`: the largest request, in bytes.
    pub recv_max: IntGauge,
    /// `pilothouse_connections_refused_total`: connections for which there was no place.
    pub refused_connections: IntCounter,
    /// `pilothouse_xds_wait_expired`: parts of a change that were sent at the limit of their wait, by type and step.
    pub wait_expired: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            clients: IntGaugeVec::new(
                Opts::new("pilot_xds", "Number of endpoints connected to this pilot using XDS."),
                &["version"],
            )?,
            pushes: counters(
                "pilot_xds_pushes",
                "Pilot build and send errors for lds, rds, cds and eds.",
                &["type"],
            )?,
            push_time: HistogramVec::new(
                histogram(
                    "pilot_xds_push_time",
                    "Total time in seconds to make and send one type.",
                    &PUSH_SECONDS,
                ),
                &["type"],
            )?,
            send_time: Histogram::with_opts(histogram(
                "pilot_xds_send_time",
                "Total time in seconds to send generated configuration.",
                &SEND_SECONDS,
            ))?,
            queue_time: Histogram::with_opts(histogram(
                "pilot_proxy_queue_time",
                "Time in seconds that a proxy waits before its push begins.",
                &CONVERGENCE_SECONDS,
            ))?,
            convergence_time: Histogram::with_opts(histogram(
                "pilot_proxy_convergence_time",
                "Delay in seconds between a change and a proxy receiving all required configuration.",
                &CONVERGENCE_SECONDS,
            ))?,
            config_size: HistogramVec::new(
                histogram(
                    "pilot_xds_config_size_bytes",
                    "Distribution of configuration sizes pushed to clients.",
                    &CONFIG_BYTES,
                ),
                &["type"],
            )?,
            rejects: counters(
                "pilot_total_xds_rejects",
                "Total number of XDS responses from pilot rejected by proxies.",
                &["type"],
            )?,
            rejecting: rejecting()?,
            expired_nonce: counters(
                "pilot_xds_expired_nonce",
                "Total number of XDS requests with an expired nonce.",
                &["type"],
            )?,
            refused_connections: IntCounter::new(
                "pilothouse_connections_refused_total",
                "Connections of proxies and agents for which there was no place.",
            )?,
            internal_errors: IntCounter::new(
                "pilot_total_xds_internal_errors",
                "Total number of internal XDS errors in pilot.",
            )?,
            recv_max: IntGauge::new("pilot_xds_recv_max", "The maximum message size received, in bytes.")?,
            wait_expired: counters(
                "pilothouse_xds_wait_expired",
                "Parts of a change sent at the limit of their wait for another part.",
                &["type", "step"],
            )?,
        };
        metrics.register_all(registry)?;
        Ok(metrics)
    }

    fn register_all(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.clients.clone()))?;
        for counters in [&self.pushes, &self.rejects, &self.expired_nonce, &self.wait_expired] {
            registry.register(Box::new(counters.clone()))?;
        }
        for histograms in [&self.push_time, &self.config_size] {
            registry.register(Box::new(histograms.clone()))?;
        }
        for histogram in [&self.send_time, &self.queue_time, &self.convergence_time] {
            registry.register(Box::new(histogram.clone()))?;
        }
        for gauges in self.rejecting.iter().flatten() {
            registry.register(Box::new(gauges.clone()))?;
        }
        registry.register(Box::new(self.recv_max.clone()))?;
        for counter in [&self.internal_errors, &self.refused_connections] {
            registry.register(Box::new(counter.clone()))?;
        }
        Ok(())
    }

    /// Counts a refusal by `node`; `code` is the gRPC status code that it gave.
    pub fn reject(&self, kind: ResourceType, node: &str, code: i32) {
        self.rejects.with_label_values(&[label(kind)]).inc();
        if let Some(gauges) = self.rejecting.get(kind.index()).and_then(Option::as_ref) {
            gauges.with_label_values(&[node, code_name(code)]).set(1);
        }
    }

    /// Notes the size of a request, in bytes.
    pub fn received(&self, len: usize) {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        if len > self.recv_max.get() {
            self.recv_max.set(len);
        }
    }
}

/// The label of a type: `cds`, `eds`, ...
pub const fn label(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Cluster => "cds",
        ResourceType::Endpoints => "eds",
        ResourceType::Listener => "lds",
        ResourceType::Route => "rds",
        ResourceType::Secret => "sds",
        ResourceType::ExtensionConfig => "ecds",
        ResourceType::NameTable => "nds",
        ResourceType::ProxyConfig => "pcds",
    }
}

/// The label of a push that could not be sent; only these four are known to the dashboards.
pub const fn send_error_label(kind: ResourceType) -> Option<&'static str> {
    match kind {
        ResourceType::Cluster => Some("cds_senderr"),
        ResourceType::Endpoints => Some("eds_senderr"),
        ResourceType::Listener => Some("lds_senderr"),
        ResourceType::Route => Some("rds_senderr"),
        ResourceType::Secret
        | ResourceType::ExtensionConfig
        | ResourceType::NameTable
        | ResourceType::ProxyConfig => None,
    }
}

fn rejecting() -> Result<[Option<IntGaugeVec>; ResourceType::COUNT], prometheus::Error> {
    let mut rejecting = [const { None }; ResourceType::COUNT];
    for (kind, place) in ResourceType::ALL.into_iter().zip(&mut rejecting) {
        if send_error_label(kind).is_some() {
            let name = format!("pilot_xds_{}_reject", label(kind));
            let help = format!("Pilot rejected {} configs.", kind.short_name());
            *place = Some(IntGaugeVec::new(Opts::new(name, help), &["node", "err"])?);
        }
    }
    Ok(rejecting)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

/// The name of a gRPC status code, as Go prints it (grpc/grpc: doc/statuscodes.md).
const fn code_name(code: i32) -> &'static str {
    match code {
        0 => "OK",
        1 => "Canceled",
        2 => "Unknown",
        3 => "InvalidArgument",
        4 => "DeadlineExceeded",
        5 => "NotFound",
        6 => "AlreadyExists",
        7 => "PermissionDenied",
        8 => "ResourceExhausted",
        9 => "FailedPrecondition",
        10 => "Aborted",
        11 => "OutOfRange",
        12 => "Unimplemented",
        13 => "Internal",
        14 => "Unavailable",
        15 => "DataLoss",
        16 => "Unauthenticated",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder as _, Registry, TextEncoder};

    use super::Metrics;
    use crate::kind::ResourceType;

    #[test]
    fn names_and_labels_are_those_that_dashboards_read() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("fresh registry");
        metrics.clients.with_label_values(&["1.32.0"]).set(2);
        metrics.pushes.with_label_values(&["cds"]).inc();
        metrics.reject(ResourceType::Cluster, "a.b", 13);
        metrics.reject(ResourceType::Secret, "a.b", 13);
        metrics.received(10);
        metrics.received(7);
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).expect("text");
        let text = String::from_utf8(text).expect("UTF-8");
        for line in [
            "pilot_xds{version=\"1.32.0\"} 2",
            "pilot_xds_pushes{type=\"cds\"} 1",
            "pilot_total_xds_rejects{type=\"cds\"} 1",
            "pilot_total_xds_rejects{type=\"sds\"} 1",
            "pilot_xds_cds_reject{err=\"Internal\",node=\"a.b\"} 1",
            "pilot_xds_recv_max 10",
            "pilot_total_xds_internal_errors 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("pilot_xds_sds_reject"));
        assert!(Metrics::register(&registry).is_err(), "a second registration is refused");
    }
}
