//! What is counted, under the names that the reference's dashboards know.
//!
//! Source: `shared/spec/operations.md` 3.5.

use api::Kind;
use axum::http::StatusCode;
use prometheus::{IntCounterVec, Opts, Registry};

use super::wire::{AdmissionRequest, GroupVersionResource, Verdict};

/// The counters of admission.
#[derive(Clone, Debug)]
pub struct Metrics {
    passed: IntCounterVec,
    failed: IntCounterVec,
    http_error: IntCounterVec,
}

impl Metrics {
    /// Registers the counters.
    ///
    /// # Errors
    /// One of the names is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let of = ["group", "version", "resource"];
        let why = ["group", "version", "resource", "reason"];
        Ok(Self {
            passed: counter("galley_validation_passed", "Resource is valid.", &of)?,
            failed: counter("galley_validation_failed", "Resource validation failed.", &why)?,
            http_error: counter(
                "galley_validation_http_error",
                "Requests to the validation webhook that were no question, by the status of their answer.",
                &["status"],
            )?,
        })
    }

    /// Counts an answer. A refusal that was only tried out is not counted, as in the reference: the control plane itself
    /// tries its webhook out.
    pub(super) fn answered(&self, request: &AdmissionRequest, verdict: &Verdict) {
        let [group, version, resource] = labels(&request.resource);
        let reason = match verdict {
            Verdict::Allowed => {
                self.passed.with_label_values(&[group, version, resource]).inc();
                return;
            }
            Verdict::NotLookedAt => "unsupported_operation",
            Verdict::Refused { reason, .. } => reason.label(),
        };
        if request.dry_run != Some(true) {
            self.failed.with_label_values(&[group, version, resource, reason]).inc();
        }
    }

    /// Counts a request that was no question.
    pub(super) fn refused(&self, status: StatusCode) {
        self.http_error.with_label_values(&[status.as_str()]).inc();
    }
}

/// Whoever reaches the port names what they like, so only known names become labels.
fn labels(asked: &GroupVersionResource) -> [&str; 3] {
    let known = Kind::ALL.iter().find(|kind| kind.group() == asked.group && kind.plural() == asked.resource);
    let Some(kind) = known else { return ["unknown"; 3] };
    let version = kind.versions().iter().find(|version| **version == asked.version);
    [kind.group(), version.copied().unwrap_or("unknown"), kind.plural()]
}
