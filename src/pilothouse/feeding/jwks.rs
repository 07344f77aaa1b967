//! Keys of those who issue tokens: the source of them put together, and what operators are shown of it.
//!
//! Source: Istio `pilot/pkg/model/jwks_resolver.go` (names of metrics); `shared/spec/security.md` 7.

use std::sync::Arc;

use anyhow::{Context, Result};
use debug::FetchedKeys;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGaugeVec, Opts, Registry};
use sources::jwks::{Fetcher, Keyring, Status};

use crate::features;

/// The source of keys, as the environment wants it, with its metrics.
///
/// # Errors
/// TLS cannot be set up, or the name of a metric is taken.
pub(crate) fn keyring(registry: &Registry) -> Result<Keyring> {
    let (options, refresh) = features::jwks();
    let keyring = Keyring::new(Fetcher::new(options).context("TLS for fetching keys")?, refresh);
    registry.register(Box::new(Metrics::new(keyring.clone())?))?;
    Ok(keyring)
}

/// The keys for `/debug/jwks`.
pub(crate) fn page(keyring: Keyring) -> debug::Jwks {
    let shown = |status: Status| FetchedKeys {
        issuer: status.source.issuer.to_string(),
        jwks_uri: status.source.uri.to_string(),
        age_seconds: status.age.map(|age| age.as_secs()),
        error: status.error,
    };
    Arc::new(move || keyring.status().into_iter().map(shown).collect())
}

/// Metrics that are read off the source whenever somebody asks.
struct Metrics {
    keyring: Keyring,
    succeeded: IntCounter,
    failed: IntCounter,
    age: IntGaugeVec,
}

impl Metrics {
    fn new(keyring: Keyring) -> prometheus::Result<Self> {
        let age = Opts::new(
            "pilothouse_jwks_age_seconds",
            "Time since the keys of an issuer of tokens were fetched; -1 if there are none and its tokens are refused.",
        );
        Ok(Self {
            keyring,
            succeeded: IntCounter::new(
                "pilot_jwks_resolver_network_fetch_success_total",
                "Total number of successfully network fetch by pilot jwks resolver",
            )?,
            failed: IntCounter::new(
                "pilot_jwks_resolver_network_fetch_fail_total",
                "Total number of failed network fetch by pilot jwks resolver",
            )?,
            age: IntGaugeVec::new(age, &["issuer", "jwks_uri"])?,
        })
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        let counters = [&self.succeeded, &self.failed].into_iter().flat_map(|counter| counter.desc());
        counters.chain(self.age.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let fetches = self.keyring.fetches();
        for (counter, now) in [(&self.succeeded, fetches.succeeded), (&self.failed, fetches.failed)] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        self.age.reset();
        for status in self.keyring.status() {
            let age = status.age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            self.age.with_label_values(&[&*status.source.issuer, &*status.source.uri]).set(age);
        }
        let counters = [&self.succeeded, &self.failed].into_iter().flat_map(|counter| counter.collect());
        counters.chain(self.age.collect()).collect()
    }
}
