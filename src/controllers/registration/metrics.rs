//! How many workloads were registered, under the reference's names.

use prometheus::{IntCounter, Registry};

/// Counters. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) success: IntCounter,
    pub(super) updates: IntCounter,
    pub(super) unregister: IntCounter,
    pub(super) deletes: IntCounter,
    pub(super) errors: IntCounter,
}

impl Metrics {
    /// Counters that the registry shows.
    ///
    /// # Errors
    /// A name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("auto_registration_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            success: counter("success", "WorkloadEntries that were made for workloads that connected.")?,
            updates: counter("updates", "WorkloadEntries that were there when their workloads connected.")?,
            unregister: counter("unregister", "Workloads with an entry made for them that went.")?,
            deletes: counter("deletes", "WorkloadEntries that were taken away: nobody came back for them.")?,
            errors: counter("errors", "Registrations and ends of them that could not be written.")?,
        })
    }
}
