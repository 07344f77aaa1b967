//! What operators are shown of further roots: a part of `/debug/rootz`, problems, and how old fetched ones are.

use std::sync::Arc;
use std::time::SystemTime;

use ca::Anchor;
use debug::{FurtherRoots, TrustedRoot};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};
use sources::spiffe::{Bundle, Bundles};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Trust;
use super::anchors::Entry;

impl Trust {
    /// The further roots for `/debug/rootz`.
    pub(crate) fn page(&self) -> Vec<FurtherRoots> {
        self.others.borrow().0.iter().map(shown).collect()
    }

    /// Which of the roots peers mistake for each other, a line each.
    pub(crate) fn namesakes(&self) -> Vec<String> {
        let roots = self.roots.borrow().clone();
        roots.map(|signs| signs.namesakes()).unwrap_or_default()
    }

    /// The same lines of problems, followed by what is wrong with roots.
    pub(crate) fn told_after(
        &self,
        problems: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    ) -> Arc<dyn Fn() -> Vec<String> + Send + Sync> {
        let this = self.clone();
        Arc::new(move || {
            let mut lines = problems();
            lines.extend(this.others.borrow().troubles());
            lines.extend(this.namesakes());
            lines
        })
    }
}

fn shown(entry: &Entry) -> FurtherRoots {
    let certificate = |anchor: &Anchor| TrustedRoot {
        name: anchor.name().to_owned(),
        trusted: true,
        not_after: anchor.not_after().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
    };
    let fetched = entry.fetched.as_ref();
    FurtherRoots {
        field: entry.field.clone(),
        trust_domains: entry.domains.clone(),
        certificates: entry.anchors.iter().map(certificate).collect(),
        url: fetched.map(|(address, _)| address.to_string()),
        age_seconds: fetched.and_then(|(_, bundle)| age(bundle)),
        problems: entry.problems.iter().cloned().chain(entry.unfetched()).collect(),
    }
}

/// Seconds since a bundle was fetched.
fn age(bundle: &Bundle) -> Option<u64> {
    bundle.fetched.map(|at| Instant::now().saturating_duration_since(at).as_secs())
}

/// The metric, which is read off the bundles whenever somebody asks.
pub(super) struct Ages {
    bundles: watch::Receiver<Bundles>,
    age: IntGaugeVec,
}

impl Ages {
    pub(super) fn new(bundles: watch::Receiver<Bundles>) -> prometheus::Result<Self> {
        let age = Opts::new(
            "pilothouse_spiffe_bundle_age_seconds",
            "Time since the roots of a SPIFFE bundle were fetched; -1 if there are none.",
        );
        Ok(Self { bundles, age: IntGaugeVec::new(age, &["url"])? })
    }
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.age.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.age.reset();
        for (address, bundle) in &*self.bundles.borrow() {
            let age = age(bundle).map_or(-1, |age| i64::try_from(age).unwrap_or(i64::MAX));
            self.age.with_label_values(&[&**address]).set(age);
        }
        self.age.collect()
    }
}
