//! Keys of those who issue tokens, fetched from where policies say they are.
//!
//! Keys are fetched again and again; what cannot be fetched keeps the keys that it had, for a week at most. Whoever
//! signs with keys that are older than that may have lost them long ago. A fetch that fails is tried again soon where
//! there are no keys, and later with each failure. Source: Istio `pilot/pkg/model/jwks_resolver.go`;
//! `shared/spec/security.md` 7, traps 49 and 50.

mod addresses;
mod fetch;
mod keys;
mod proxy;
mod status;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use model::mesh::{JwksSource, WantedKeys};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use addresses::Internal;
pub use fetch::{Fetcher, Options};
pub use proxy::Proxies;
pub use status::{Fetches, Status};

use crate::due::until;
use crate::event::Batch;

/// Keys that were not fetched for so long are no longer used.
const EVICTION: Duration = Duration::from_secs(168 * 3600);

/// The first wait after a failure where there are no keys, and the longest.
const EAGER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The first wait after a failure where there are keys.
const CALM: Duration = Duration::from_secs(60);

/// Fetches under way at a time.
const AT_ONCE: usize = 16;

/// How long the first mesh waits for keys.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Keys of a source, or that they are gone.
pub type Change = (JwksSource, Option<Arc<str>>);

/// What is known of a source.
#[derive(Debug)]
struct Known {
    /// Time that a fetch may take.
    patience: Duration,
    keys: Option<Arc<str>>,
    /// When keys were fetched last; before there are any, when they were asked for first.
    fetched: Instant,
    /// When they are fetched again.
    again: Instant,
    /// How long was waited after the last failure; none if the last fetch succeeded.
    failing: Option<Duration>,
    /// What the last fetch met.
    error: Option<String>,
    under_way: bool,
}

/// Keys that are fetched, and those that fetch them. Clones are the same.
#[derive(Clone, Debug)]
pub struct Keyring {
    fetcher: Arc<Fetcher>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    refresh: Duration,
    known: BTreeMap<JwksSource, Known>,
    fetches: Fetches,
}

impl Keyring {
    /// Nothing known yet; keys are fetched again every `refresh`.
    pub fn new(fetcher: Fetcher, refresh: Duration) -> Self {
        let state = State { refresh, known: BTreeMap::new(), fetches: Fetches::default() };
        Self { fetcher: Arc::new(fetcher), state: Arc::new(Mutex::new(state)) }
    }

    /// What is known of each source, for operators.
    pub fn status(&self) -> Vec<Status> {
        lock(&self.state).status(Instant::now())
    }

    /// How many fetches succeeded and failed.
    pub fn fetches(&self) -> Fetches {
        lock(&self.state).fetches
    }

    /// The keys of all these sources as they are now, those that cannot be had in time left out: for the first mesh,
    /// that proxies which have keys do not lose them.
    pub async fn look(&self, wanted: &WantedKeys) -> Vec<Change> {
        lock(&self.state).want(wanted, Instant::now());
        let due = lock(&self.state).due(usize::MAX, Instant::now());
        let fetches = due.into_iter().map(|(source, patience)| async move {
            let found = self.fetcher.fetch(&source, patience.min(FIRST_LOOK)).await;
            lock(&self.state).learn(source, found, Instant::now())
        });
        join_all(fetches).await.into_iter().flatten().collect()
    }

    /// Follows the keys of `wanted` sources; a batch for each change. Ends when nobody takes batches, or no more keys
    /// can be wanted.
    pub async fn follow(self, wanted: watch::Receiver<WantedKeys>, batches: mpsc::Sender<Batch>) {
        let fetcher = Arc::clone(&self.fetcher);
        let fetch = move |source: JwksSource, patience| {
            let fetcher = Arc::clone(&fetcher);
            async move { fetcher.fetch(&source, patience).await }
        };
        follow_with(&self.state, wanted, batches, fetch).await;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // What a panic left behind is at worst an answer that is asked for again.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a fetch finds.
type Found = Result<Arc<str>, String>;

async fn follow_with<F>(
    state: &Mutex<State>,
    mut wanted: watch::Receiver<WantedKeys>,
    batches: mpsc::Sender<Batch>,
    fetch: impl Fn(JwksSource, Duration) -> F,
) where
    F: Future<Output = Found> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        let now = Instant::now();
        let asked = wanted.borrow_and_update().clone();
        let mut keys = lock(state).want(&asked, now);
        keys.extend(lock(state).evict(now));
        for (source, patience) in lock(state).due(AT_ONCE.saturating_sub(running.len()), now) {
            let found = fetch(source.clone(), patience);
            running.spawn(async move {
                let late = || Err(format!("no answer within {patience:?}"));
                (source, timeout(patience, found).await.unwrap_or_else(|_| late()))
            });
        }
        let next = lock(state).next(running.len());
        if !keys.is_empty() && batches.send(Batch { keys, ..Batch::default() }).await.is_err() {
            return;
        }
        let mut done = None;
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            Some(answer) = running.join_next() => done = answer.ok(),
            () = until(next) => {}
            () = batches.closed() => return,
        }
        let Some((source, found)) = done else { continue };
        let keys: Vec<Change> = lock(state).learn(source, found, Instant::now()).into_iter().collect();
        if !keys.is_empty() && batches.send(Batch { keys, ..Batch::default() }).await.is_err() {
            return;
        }
    }
}

impl State {
    /// Takes what is wanted now; what nobody wants any more is forgotten.
    fn want(&mut self, wanted: &WantedKeys, now: Instant) -> Vec<Change> {
        for (source, patience) in wanted {
            let known = self.known.entry(source.clone()).or_insert_with(|| Known {
                patience: *patience,
                keys: None,
                fetched: now,
                again: now,
                failing: None,
                error: None,
                under_way: false,
            });
            known.patience = *patience;
        }
        let gone = self.known.extract_if(.., |source, _| !wanted.contains_key(source));
        gone.filter(|(_, known)| known.keys.is_some()).map(|(source, _)| (source, None)).collect()
    }

    /// Takes the keys away that are too old.
    fn evict(&mut self, now: Instant) -> Vec<Change> {
        let mut gone = Vec::new();
        for (source, known) in &mut self.known {
            if now.duration_since(known.fetched) >= EVICTION && known.keys.take().is_some() {
                tracing::error!(
                    issuer = %source.issuer, uri = %source.uri,
                    "keys were not fetched for a week: tokens are refused from now on"
                );
                gone.push((source.clone(), None));
            }
        }
        gone
    }

    /// At most so many sources that are to be fetched now.
    fn due(&mut self, most: usize, now: Instant) -> Vec<(JwksSource, Duration)> {
        let due = self.known.iter_mut().filter(|(_, known)| !known.under_way && known.again <= now);
        due.take(most)
            .map(|(source, known)| {
                known.under_way = true;
                (source.clone(), known.patience)
            })
            .collect()
    }

    /// When something is to be done without being told, while so many fetches run.
    fn next(&self, running: usize) -> Option<Instant> {
        let fetch = self.known.values().filter(|k| !k.under_way && running < AT_ONCE).map(|k| k.again);
        let age = self.known.values().filter(|k| k.keys.is_some()).map(|k| k.fetched + EVICTION);
        fetch.chain(age).min()
    }

    /// Takes what was found; the change, if it is one.
    fn learn(&mut self, source: JwksSource, found: Found, now: Instant) -> Option<Change> {
        match &found {
            Ok(_) => self.fetches.succeeded += 1,
            Err(_) => self.fetches.failed += 1,
        }
        let known = self.known.get_mut(&source)?;
        known.under_way = false;
        match found {
            Ok(keys) => {
                if known.failing.take().is_some() {
                    tracing::info!(issuer = %source.issuer, uri = %source.uri, "keys can be fetched again");
                }
                known.error = None;
                known.fetched = now;
                known.again = now + self.refresh;
                let differs = known.keys.as_ref() != Some(&keys);
                known.keys = Some(Arc::clone(&keys));
                differs.then_some((source, Some(keys)))
            }
            Err(error) => {
                let (first, longest) =
                    if known.keys.is_some() { (CALM, self.refresh.max(CALM)) } else { EAGER };
                let wait = known.failing.map_or(first, |last| (last * 2).clamp(first, longest));
                if known.failing.replace(wait).is_none() {
                    let kept = known.keys.is_some();
                    tracing::warn!(issuer = %source.issuer, uri = %source.uri, error, kept, "keys cannot be fetched");
                }
                known.error = Some(error);
                known.again = now + wait;
                None
            }
        }
    }
}
