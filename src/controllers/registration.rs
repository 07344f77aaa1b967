//! Workloads outside of Kubernetes: while one's proxy is connected there is a WorkloadEntry of it, and it tells whether the
//! workload is healthy.
//!
//! ```text
//! workload    who asks to be registered, from its node; whether it may
//! entry       the WorkloadEntry that a WorkloadGroup makes of it
//! marks       annotations that tell whose entry it is and since when; what follows from them
//! objects     reads and writes of entries
//! book        who is connected here, and what is to be written about them
//! keeper      writes it, and takes away what nobody came back for
//! ```
//!
//! Source: `shared/spec/kubernetes.md` 2.8, traps 31, 32; Istio `pilot/pkg/autoregistration/`.

mod book;
mod entry;
mod keeper;
mod marks;
mod metrics;
mod objects;
#[cfg(test)]
mod tests;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

pub use keeper::{Known, feed};
pub use metrics::Metrics;
pub use objects::Entries;
pub use workload::{Rules, Workload};

use book::Book;

/// How long a client waits for its registration.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a client is not registered, in words for whoever operates it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such WorkloadGroup: it may come.
    #[error("{0}")]
    NoGroup(String),
    /// It may not, or what it asks for is refused.
    #[error("{0}")]
    No(String),
    /// The API server does not take it now.
    #[error("{0}")]
    Later(String),
}

/// How workloads are registered.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Who may be registered, and how.
    pub rules: Rules,
    /// For how long an entry outlives the connection (`PILOT_WORKLOAD_ENTRY_GRACE_PERIOD`).
    pub grace: Duration,
    /// The greatest age of a connection, if there is one: an entry that was connected longer ago is nobody's.
    pub max_age: Option<Duration>,
}

/// Registers workloads. Clones are the same.
#[derive(Clone, Debug)]
pub struct Registrar(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entries: Entries,
    terms: Terms,
    book: Book,
}

impl Registrar {
    /// One that writes entries as `terms` say.
    pub fn new(entries: Entries, terms: Terms) -> Self {
        Self(Arc::new(Shared { entries, terms, book: Book::default() }))
    }

    /// Who may be registered.
    pub fn rules(&self) -> Rules {
        self.0.terms.rules
    }

    /// Registers a workload that connects now. If nobody waits for the answer any more, it is as if it had gone.
    ///
    /// # Errors
    /// It may not be registered, or cannot be now.
    pub async fn register(&self, workload: Workload) -> Result<Presence, Refused> {
        let (answer, answered) = oneshot::channel();
        let registrar = self.clone();
        tokio::spawn(async move {
            // The presence ends where it is dropped.
            let _ = answer.send(registrar.enter(Arc::new(workload)).await);
        });
        let late =
            || Refused::Later("registration takes too long: the API server does not answer".to_owned());
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    async fn enter(&self, workload: Arc<Workload>) -> Result<Presence, Refused> {
        let now = Timestamp::now();
        // It counts as present before it is written, so that the end of an earlier stream does not undo it.
        workload.check_verified(self.rules())?;
        self.0.book.come(&workload, now);
        let registrar = self.clone();
        let mut presence = Presence { registrar, workload: Arc::clone(&workload), refused: false };
        let done = self.0.entries.connect(&workload, now, self.rules()).await;
        // What became of a write that was not answered is not known: that presence ends like one that began.
        presence.refused = matches!(done, Err(Refused::No(_) | Refused::NoGroup(_)));
        done.map(|()| presence)
    }
}

/// A stream of a workload that is registered; it ends where it is dropped.
#[derive(Debug)]
pub struct Presence {
    registrar: Registrar,
    workload: Arc<Workload>,
    refused: bool,
}

impl Presence {
    /// Takes what the proxy tells of the workload: that it is healthy, or why it is not.
    pub fn health(&self, health: Result<(), String>) {
        if self.registrar.rules().health {
            self.registrar.0.book.tell(&self.workload.key(), health, Timestamp::now());
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let (book, key) = (&self.registrar.0.book, self.workload.key());
        if self.refused { book.retract(&key) } else { book.go(&key, Timestamp::now()) }
    }
}
