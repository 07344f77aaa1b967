//! How the keys of each source fare, for operators.

use std::time::Duration;

use model::mesh::JwksSource;
use tokio::time::Instant;

use super::State;

/// What is known of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The source.
    pub source: JwksSource,
    /// How long ago its keys were fetched; none if there are none, and its tokens are refused.
    pub age: Option<Duration>,
    /// What the last fetch met, if it failed.
    pub error: Option<String>,
}

/// How many fetches there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetches {
    /// That brought keys.
    pub succeeded: u64,
    /// That did not.
    pub failed: u64,
}

impl State {
    pub(super) fn status(&self, now: Instant) -> Vec<Status> {
        let status = |(source, known): (&JwksSource, &super::Known)| Status {
            source: source.clone(),
            age: known.keys.as_ref().map(|_| now.duration_since(known.fetched)),
            error: known.error.clone(),
        };
        self.known.iter().map(status).collect()
    }
}
