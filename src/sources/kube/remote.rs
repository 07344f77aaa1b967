//! Other clusters: each to which a Secret of the home cluster gives access is a source of its own.
//!
//! ```text
//!   Secrets ──> secrets ──> table: which Secret provides which cluster ──> clusters: start, exchange, end
//!                                 └── who provides one that another has            │      │
//!   kubeconfig: what it may say ──────────── refusals, at the Secret <─────────────┘      └──Batch of a cluster──>
//!                                                    status: /debug/clusterz, /ready, metrics
//! ```
//!
//! - A cluster that has not been listed whole says nothing, and takes nothing away. One that is lost later stays as it is
//!   known.
//! - The first complete look is over when every cluster that was there at the start has been listed, was refused, or was
//!   waited for long enough; Secrets that may not be read are not waited for longer than that either.
//!
//! Source: Istio `pkg/kube/multicluster/secretcontroller.go`; `shared/spec/kubernetes.md` 2.9, trap 33.

mod clusters;
mod kubeconfig;
mod secrets;
mod status;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use api::Kind;
use kube::api::Api;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Following, Selection};
use super::follow::Change;
use super::source::SourceError;
use crate::event::Batch;
use crate::report::Report;

use clusters::{Clusters, Said};
use secrets::{Access, Document};
use table::Table;

pub use status::{ClusterStatus, Remotes, SecretEvent, SyncStatus};

/// Messages that may wait before those who send them do.
const WAITING: usize = 64;

/// What is read from other clusters.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace of the home cluster in which the Secrets are.
    pub namespace: String,
    /// The kinds that are read.
    pub kinds: Vec<Kind>,
    /// How long a cluster is waited for; zero for ever.
    pub timeout: Duration,
    /// What kubeconfigs may use although it reads files or runs programs: `clientKey`, `clientCertificate`, `tokenFile`,
    /// `exec`, or the name of an authentication provider.
    pub allowed: BTreeSet<String>,
}

/// Follows the clusters to which Secrets of the home cluster give access, until `shutdown` or until nobody receives.
///
/// Batches of the clusters bear their names. One that is complete and bears none is sent once: the first look is over.
/// `status` takes how the clusters fare; `connection` is that to the home cluster.
///
/// # Errors
///
/// A fault of the program.
pub async fn watch(
    connection: Connection,
    options: Options,
    status: Remotes,
    sender: mpsc::Sender<Batch>,
    shutdown: CancellationToken,
) -> Result<(), SourceError> {
    let home = connection.health().cluster();
    let (said, heard) = mpsc::channel(WAITING);
    let api = Api::<Document>::namespaced(connection.client().clone(), &options.namespace);
    let selection = Selection { labels: secrets::SELECTOR.to_owned(), ..Selection::default() };
    let secrets = connection.follow(secrets::NAME, api, &selection, Access::read);
    let followed = Followed {
        table: Table::new(home),
        wait: Wait::Until(limit(options.timeout)),
        clusters: Clusters::new(home, options, status.clone(), said),
        status,
        tasks: JoinSet::new(),
        refused: BTreeSet::new(),
        told: BTreeSet::new(),
        complete: false,
    };
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = followed.run(secrets, heard, sender) => ended,
    }
}

struct Followed {
    table: Table,
    clusters: Clusters,
    status: Remotes,
    tasks: JoinSet<Result<(), SourceError>>,
    /// What other Secrets say of clusters that one provides.
    refused: BTreeSet<Arc<Report>>,
    /// The problems of Secrets that were told.
    told: BTreeSet<Arc<Report>>,
    /// Until when the Secrets' list is waited for.
    wait: Wait,
    complete: bool,
}

impl Followed {
    async fn run(
        mut self,
        mut secrets: Following<Access>,
        mut heard: mpsc::Receiver<(u64, Said)>,
        sender: mpsc::Sender<Batch>,
    ) -> Result<(), SourceError> {
        loop {
            let deadline = self.clusters.deadline().into_iter().chain(self.wait.deadline()).min();
            let mut batches = Vec::new();
            tokio::select! {
                change = secrets.next() => match change {
                    Some(change) => batches = self.secrets(change),
                    None => return Ok(()),
                },
                Some((number, said)) = heard.recv() => batches.extend(self.clusters.take(number, said)),
                () = until(deadline) => {
                    self.clusters.expire(Instant::now());
                    self.wait.expire(Instant::now());
                }
                Some(ended) = self.tasks.join_next() => ended??,
            }
            batches.extend(self.problems());
            if !self.complete && self.wait.over() && self.clusters.settled() {
                self.complete = true;
                batches.push(Batch { complete: true, ..Batch::default() });
            }
            for batch in batches {
                if sender.send(batch).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Takes what the Secrets' watch says.
    fn secrets(&mut self, change: Change<Access>) -> Vec<Batch> {
        if matches!(change, Change::Listed(_) | Change::Absent) {
            self.wait = Wait::Over;
        }
        for event in self.table.take(change) {
            self.status.event(event);
        }
        let (provided, refused) = self.table.settle();
        self.refused = refused.into_iter().collect();
        self.clusters.settle(provided, &mut self.tasks)
    }

    /// What has come and gone of the problems of Secrets.
    fn problems(&mut self) -> Option<Batch> {
        let now: BTreeSet<Arc<Report>> =
            self.refused.iter().cloned().chain(self.clusters.refused()).collect();
        let batch = Batch {
            appeared: now.difference(&self.told).cloned().collect(),
            cleared: self.told.difference(&now).cloned().collect(),
            ..Batch::default()
        };
        self.told = now;
        batch.log("a Secret of another cluster");
        (!batch.is_empty()).then_some(batch)
    }
}

/// Whether the Secrets' list is still waited for.
#[derive(Debug)]
enum Wait {
    /// Until this instant; for ever if there is none.
    Until(Option<Instant>),
    /// No longer.
    Over,
}

impl Wait {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Until(at) => *at,
            Self::Over => None,
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            tracing::error!(
                "the Secrets of other clusters could not be listed in time, the mesh is served without these"
            );
            *self = Self::Over;
        }
    }

    fn over(&self) -> bool {
        matches!(self, Self::Over)
    }
}

/// When nobody waits any longer, from now; never for a limit of zero.
fn limit(timeout: Duration) -> Option<Instant> {
    Some(timeout).filter(|timeout| !timeout.is_zero()).map(|timeout| Instant::now() + timeout)
}

/// Returns at an instant; never if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
