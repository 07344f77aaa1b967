//! What is counted of signers, by their name.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::Unsigned;

/// Clients choose among signers: names that come later are told together.
const NAMES: usize = 32;

/// What stands for them.
const OTHER: &str = "other";

/// Counters. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    waiting: IntGaugeVec,
    seconds: HistogramVec,
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl Metrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// One of the names is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new(
            "pilothouse_signer_requests_total",
            "Requests to signers of Kubernetes, by what became of them: signed, silent (no answer in time), refused, crowded (too \
             many wait already), unwritten (the API server), left.",
        );
        let waiting =
            Opts::new("pilothouse_signer_waiting", "Requests that wait for a signer of Kubernetes.");
        let seconds =
            HistogramOpts::new("pilothouse_signer_seconds", "How long a signer of Kubernetes took to sign.")
                .buckets(vec![0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0]);
        let this = Self {
            requests: IntCounterVec::new(requests, &["signer", "result"])?,
            waiting: IntGaugeVec::new(waiting, &["signer"])?,
            seconds: HistogramVec::new(seconds, &["signer"])?,
            names: Arc::default(),
        };
        registry.register(Box::new(this.requests.clone()))?;
        registry.register(Box::new(this.waiting.clone()))?;
        registry.register(Box::new(this.seconds.clone()))?;
        Ok(this)
    }

    /// Counts what became of a request.
    pub(super) fn count(&self, signer: &str, result: &str) {
        self.requests.with_label_values(&[self.label(signer), result]).inc();
    }

    /// Counts one that began at `since`.
    pub(super) fn done(&self, signer: &str, done: &Result<Vec<u8>, Unsigned>, since: Instant) {
        let result = match done {
            Ok(_) => {
                let seconds = since.elapsed().as_secs_f64();
                self.seconds.with_label_values(&[self.label(signer)]).observe(seconds);
                "signed"
            }
            Err(Unsigned::Crowded(_)) => "crowded",
            Err(Unsigned::Write { .. }) => "unwritten",
            Err(Unsigned::Refused { .. }) => "refused",
            Err(Unsigned::Silent { .. }) => "silent",
            Err(Unsigned::Left) => "left",
        };
        self.count(signer, result);
    }

    /// So many wait for it now.
    pub(super) fn waiting(&self, signer: &str, count: usize) {
        let label = self.label(signer);
        // Of those that are told together nobody knows the sum.
        if label != OTHER {
            self.waiting.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn label<'a>(&self, signer: &'a str) -> &'a str {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(signer) {
            return signer;
        }
        if names.len() >= NAMES {
            return OTHER;
        }
        names.insert(signer.to_owned());
        signer
    }
}
