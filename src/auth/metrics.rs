//! What is counted of requests for certificates, under the reference's names.
//!
//! Source: `shared/spec/operations.md`, metrics of the certificate authority.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Counters of the certificate service. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) requests: IntCounter,
    pub(crate) unauthenticated: IntCounter,
    pub(crate) limited: IntCounter,
    pub(crate) issued: IntCounter,
    pub(crate) errors: IntCounterVec,
}

impl Metrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// One of the names is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let errors = Opts::new("citadel_server_csr_sign_err_count", "Requests for certificates not signed.");
        let errors = IntCounterVec::new(errors, &["error"])?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self {
            requests: counter("citadel_server_csr_count", "Requests for certificates.")?,
            unauthenticated: counter(
                "citadel_server_authentication_failure_count",
                "Requests for certificates whose sender is not known, or may not ask for that identity.",
            )?,
            limited: counter(
                "pilothouse_csr_limited_total",
                "Requests for certificates that were not looked at: their address asks more often than PILOTHOUSE_CSR_RATE_PER_SOURCE.",
            )?,
            issued: counter("citadel_server_success_cert_issuance_count", "Certificates issued.")?,
            errors,
        })
    }
}
