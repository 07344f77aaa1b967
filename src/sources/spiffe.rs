//! Roots of other trust domains, fetched from the SPIFFE bundle endpoints that the mesh configuration names.
//!
//! Roots are fetched again every half hour; while that fails those that were fetched last stay: taking them away would cut
//! off everybody of that domain. Fetches are held to the limits of those of token issuers' keys ([`crate::jwks`]), over TLS
//! only. Source: Istio `pilot/pkg/trustbundle/trustbundle.go`; `shared/spec/security.md` 1.6.

mod bundle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::due::until;
use crate::jwks::Fetcher;

/// Time between two fetches that succeed.
const REFRESH: Duration = Duration::from_secs(30 * 60);

/// Time that a fetch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first wait after a failure and the longest, where there are no roots.
const EAGER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The same where there are roots.
const CALM: (Duration, Duration) = (Duration::from_secs(60), REFRESH);

/// Addresses of bundles.
pub type Wanted = BTreeSet<Arc<str>>;

/// The bundles by their addresses.
pub type Bundles = BTreeMap<Arc<str>, Bundle>;

/// What is known of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The certificates of its authorities, DER; none before the first fetch succeeded.
    pub certificates: Option<Arc<[Vec<u8>]>>,
    /// When they were fetched.
    pub fetched: Option<Instant>,
    /// What the last fetch met, if it failed.
    pub error: Option<String>,
}

/// Follows the bundles at the `wanted` addresses. Ends when no more addresses can be wanted.
pub async fn follow(fetcher: Fetcher, wanted: watch::Receiver<Wanted>, told: watch::Sender<Bundles>) {
    let fetcher = &fetcher;
    let fetch = |address: Arc<str>| async move {
        let whole = whole(&address)?;
        let body = fetcher.read(&whole, PATIENCE).await?;
        bundle::read(&body).map_err(|error| format!("{whole}: {error}"))
    };
    follow_with(wanted, told, fetch).await;
}

/// The address of a bundle, which may be written without its scheme.
///
/// # Errors
/// It is not read over TLS.
fn whole(address: &str) -> Result<String, String> {
    match address.split_once("://") {
        Some(("https", _)) => Ok(address.to_owned()),
        Some((scheme, _)) => {
            Err(format!("{address}: roots are fetched over https only, and not over {scheme}"))
        }
        None => Ok(format!("https://{address}")),
    }
}

/// When a bundle is fetched again.
#[derive(Default)]
struct Pace {
    again: Option<Instant>,
    failing: Option<Duration>,
}

async fn follow_with<F>(
    mut wanted: watch::Receiver<Wanted>,
    told: watch::Sender<Bundles>,
    fetch: impl Fn(Arc<str>) -> F,
) where
    F: Future<Output = Result<Vec<Vec<u8>>, String>>,
{
    let mut paces: BTreeMap<Arc<str>, Pace> = BTreeMap::new();
    loop {
        let asked = wanted.borrow_and_update().clone();
        paces.retain(|address, _| asked.contains(address));
        told.send_if_modified(|known| {
            let before = known.len();
            known.retain(|address, _| asked.contains(address));
            known.len() != before
        });
        for address in &asked {
            paces.entry(Arc::clone(address)).or_default();
        }
        let now = Instant::now();
        let due = paces.iter().filter(|(_, pace)| pace.again.is_none_or(|again| again <= now));
        let fetches = due.map(|(address, _)| {
            let (address, found) = (Arc::clone(address), fetch(Arc::clone(address)));
            async move { (address, found.await) }
        });
        let mut running: FuturesUnordered<_> = fetches.collect();
        while let Some((address, found)) = running.next().await {
            if let Some(pace) = paces.get_mut(&address) {
                told.send_if_modified(|known| {
                    let bundle = known.entry(Arc::clone(&address)).or_default();
                    pace.learn(&address, bundle, found, Instant::now())
                });
            }
        }
        let next = paces.values().filter_map(|pace| pace.again).min();
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = until(next) => {}
        }
    }
}

impl Pace {
    /// Takes what was found; whether that is news.
    fn learn(
        &mut self,
        address: &str,
        bundle: &mut Bundle,
        found: Result<Vec<Vec<u8>>, String>,
        now: Instant,
    ) -> bool {
        let before = bundle.clone();
        match found {
            Ok(certificates) => {
                if self.failing.take().is_some() {
                    tracing::info!(address, "the roots of this SPIFFE bundle can be fetched again");
                }
                self.again = Some(now + REFRESH);
                let certificates = Some(certificates.into());
                *bundle = Bundle { certificates, fetched: Some(now), error: None };
            }
            Err(error) => {
                let kept = bundle.certificates.is_some();
                let (first, longest) = if kept { CALM } else { EAGER };
                let wait = self.failing.map_or(first, |last| (last * 2).clamp(first, longest));
                if self.failing.replace(wait).is_none() {
                    tracing::warn!(address, error, kept, "the roots of a SPIFFE bundle cannot be fetched");
                }
                self.again = Some(now + wait);
                bundle.error = Some(error);
            }
        }
        *bundle != before
    }
}
