//! What is counted of the validating webhook's entries.
//!
//! Source: `shared/spec/operations.md` 3.5.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::write::WriteError;

/// The counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    updates: IntCounter,
    update_error: IntCounterVec,
    load_error: IntCounterVec,
}

impl Metrics {
    /// Registers the counters.
    ///
    /// # Errors
    /// One of the names is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let by_reason = |name: &str, help: &str| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), &["reason"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let updates = IntCounter::new(
            "galley_validation_config_updates",
            "Updates of ValidatingWebhookConfigurations.",
        )?;
        registry.register(Box::new(updates.clone()))?;
        Ok(Self {
            updates,
            update_error: by_reason(
                "galley_validation_config_update_error",
                "Updates of ValidatingWebhookConfigurations that failed.",
            )?,
            load_error: by_reason(
                "galley_validation_config_load_error",
                "Times at which what ValidatingWebhookConfigurations should say was not known.",
            )?,
        })
    }

    pub(super) fn updated(&self) {
        self.updates.inc();
    }

    pub(super) fn not_updated(&self, error: &WriteError) {
        self.update_error.with_label_values(&[error.label()]).inc();
    }

    pub(super) fn not_loaded(&self) {
        self.load_error.with_label_values(&["no_ca_bundle"]).inc();
    }
}
