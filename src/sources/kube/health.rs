//! How the source fares: what is listed, what fails and since when. Told in the log once a change, not once a try.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The state of one cluster's source. Clones are the same.
#[derive(Clone, Debug)]
pub struct Health {
    cluster: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    lost: Option<Failure>,
    kinds: BTreeMap<String, Kind>,
}

#[derive(Debug, Default)]
struct Kind {
    listed: bool,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    since: Instant,
    error: String,
}

/// How one kind fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindHealth {
    /// The kind's name in the API, such as `virtualservices.networking.istio.io`.
    pub name: String,
    /// Whether its objects have been listed.
    pub listed: bool,
    /// Whether it cannot be followed now; what is known of it stays.
    pub failing: bool,
}

impl Health {
    /// Of a cluster about which nothing is known.
    pub fn new(cluster: &str) -> Self {
        Self { cluster: cluster.into(), state: Arc::default() }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Whether the API server answers.
    pub fn reachable(&self) -> bool {
        self.lock().lost.is_none()
    }

    /// How each kind fares that is followed, in order of the names.
    pub fn kinds(&self) -> Vec<KindHealth> {
        let state = self.lock();
        let kinds = state.kinds.iter();
        kinds
            .map(|(name, kind)| KindHealth {
                name: name.clone(),
                listed: kind.listed,
                failing: kind.failure.is_some(),
            })
            .collect()
    }

    /// What does not go well, a line each; none if all does.
    pub fn lines(&self) -> Vec<String> {
        let state = self.lock();
        let mut lines = Vec::new();
        let told =
            |failure: &Failure| format!("for {} s: {}", failure.since.elapsed().as_secs(), failure.error);
        if let Some(failure) = &state.lost {
            lines.push(format!(
                "error: cluster {}: the API server cannot be reached {}; what is known of it is served on",
                self.cluster,
                told(failure)
            ));
        }
        for (name, kind) in &state.kinds {
            if let Some(failure) = &kind.failure {
                lines.push(format!(
                    "error: cluster {}: {name} cannot be followed {}",
                    self.cluster,
                    told(failure)
                ));
            } else if !kind.listed {
                lines.push(format!("warning: cluster {}: {name} are not listed yet", self.cluster));
            }
        }
        lines
    }

    /// A kind is followed from now on.
    pub(crate) fn add(&self, name: &str) {
        self.lock().kinds.entry(name.to_owned()).or_default();
    }

    /// A kind is no longer followed.
    pub(crate) fn remove(&self, name: &str) {
        self.lock().kinds.remove(name);
    }

    /// A kind's objects have been listed, or are known not to be there.
    pub(crate) fn listed(&self, name: &str) {
        if let Some(kind) = self.lock().kinds.get_mut(name) {
            kind.listed = true;
        }
    }

    /// A kind is followed without an error.
    pub(crate) fn well(&self, name: &str) {
        let mut state = self.lock();
        let failure = state.kinds.get_mut(name).and_then(|kind| kind.failure.take());
        if let Some(failure) = failure {
            let seconds = failure.since.elapsed().as_secs_f32();
            tracing::info!(cluster = &*self.cluster, kind = name, seconds, "followed again");
        }
    }

    /// A kind cannot be followed.
    pub(crate) fn failed(&self, name: &str, error: &str) {
        if let Some(kind) = self.lock().kinds.get_mut(name)
            && note(&mut kind.failure, error)
        {
            tracing::warn!(
                cluster = &*self.cluster,
                kind = name,
                error,
                "cannot be followed, what is known stays"
            );
        }
    }

    /// The server cannot be reached.
    pub(crate) fn lost(&self, error: &str) {
        if note(&mut self.lock().lost, error) {
            tracing::warn!(
                cluster = &*self.cluster,
                error,
                "the API server cannot be reached, what is known stays"
            );
        }
    }

    /// The server answers.
    pub(crate) fn found(&self) {
        if let Some(failure) = self.lock().lost.take() {
            let seconds = failure.since.elapsed().as_secs_f32();
            tracing::info!(cluster = &*self.cluster, seconds, "the API server answers again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes note of an error; whether there was none before.
fn note(failure: &mut Option<Failure>, error: &str) -> bool {
    let new = failure.is_none();
    let since = failure.take().map_or_else(Instant::now, |failure| failure.since);
    *failure = Some(Failure { since, error: error.to_owned() });
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_well_is_told_until_it_does() {
        let health = Health::new("home");
        health.add("pods");
        assert_eq!(health.lines(), ["warning: cluster home: pods are not listed yet"]);
        health.listed("pods");
        assert!(health.lines().is_empty());
        health.failed("pods", "forbidden");
        assert_eq!(health.lines(), ["error: cluster home: pods cannot be followed for 0 s: forbidden"]);
        assert!(health.kinds()[0].failing && health.kinds()[0].listed);
        health.well("pods");
        health.lost("connection refused");
        assert!(
            health.lines()[0].contains("cannot be reached for 0 s: connection refused"),
            "{:?}",
            health.lines()
        );
        assert!(!health.reachable());
        health.found();
        assert!(health.lines().is_empty());
    }
}
