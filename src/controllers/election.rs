//! Which replica does a controller's work: locks that istiod's replicas know too, so that never two lead at once.
//!
//! ```text
//!   elector    what follows from a record that was seen, and when: pure
//!   record     a record as client-go writes it into a ConfigMap or a Lease
//!   campaign   asks, waits, takes, renews, gives up
//!   default    the default revision, whose replicas go first
//!   leaders    who leads, for /debug and metrics
//! ```
//!
//! Source: `shared/spec/kubernetes.md` 1.8; Istio `pilot/pkg/leaderelection`; client-go `tools/leaderelection`.

mod campaign;
mod default;
mod elector;
mod leaders;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use prometheus::Registry;
use sources::kube::Connection;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::write::Writers;
use campaign::Campaign;
use default::DefaultRevision;
pub use leaders::Leaders;

/// After a lock is no longer held the work has this long to end by itself; then it is dropped.
const GRACE: Duration = Duration::from_secs(2);

/// A lock, under the reference's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    name: Arc<str>,
    object: LockObject,
    per_revision: bool,
}

/// In what kind of object a lock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockObject {
    ConfigMap,
    Lease,
}

impl Lock {
    /// A lock in a ConfigMap. A replica of the default revision takes it from others, one inside of the cluster from one
    /// outside.
    pub fn config_map(name: &str) -> Self {
        Self { name: name.into(), object: LockObject::ConfigMap, per_revision: false }
    }

    /// A lock in a Lease, with the same priorities.
    pub fn lease(name: &str) -> Self {
        Self { name: name.into(), object: LockObject::Lease, per_revision: false }
    }

    /// A lock in a Lease that each revision has for itself, named `NAME-REVISION`; without priorities.
    pub fn lease_per_revision(name: &str) -> Self {
        Self { name: name.into(), object: LockObject::Lease, per_revision: true }
    }

    /// The name of its object, but for the revision.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its object.
    fn object_name(&self, revision: &str) -> String {
        if self.per_revision { format!("{}-{revision}", self.name) } else { self.name.to_string() }
    }
}

/// Who stands for election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The namespace in which the locks are: the control plane's.
    pub namespace: Arc<str>,
    /// The name of this replica's pod.
    pub identity: Arc<str>,
    /// The revision; empty counts as `default`.
    pub revision: Arc<str>,
    /// Whether this replica runs outside of the cluster whose locks it wants.
    pub remote: bool,
    /// Whether there is an election at all; without one this replica always leads.
    pub enabled: bool,
    /// How long everything takes.
    pub timing: Timing,
}

/// How long a lock is held, and how often it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A record that has not changed for this long is nobody's.
    pub lease: Duration,
    /// A leader that tries to renew for this long in vain gives up.
    pub renew: Duration,
    /// Time between two renewals, or two tries.
    pub retry: Duration,
}

impl Default for Timing {
    /// What the reference has fixed.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(15),
            retry: Duration::from_millis(7500),
        }
    }
}

/// The elections of one cluster in which this replica stands. Clones are the same.
#[derive(Clone, Debug)]
pub struct Election {
    connection: Connection,
    candidate: Arc<Candidate>,
    writers: Writers,
    default: DefaultRevision,
    leaders: Leaders,
}

impl Election {
    /// Must be called in a runtime. Nothing is asked of the server before [`Election::run`].
    ///
    /// # Errors
    /// There are elections of this cluster already.
    pub fn new(
        connection: &Connection,
        mut candidate: Candidate,
        writers: &Writers,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        if candidate.revision.is_empty() {
            candidate.revision = "default".into();
        }
        Ok(Self {
            connection: connection.clone(),
            candidate: Arc::new(candidate),
            writers: writers.clone(),
            default: DefaultRevision::default(),
            leaders: Leaders::register(connection.health().cluster(), registry)?,
        })
    }

    /// Who leads, as far as this replica knows.
    pub fn leaders(&self) -> &Leaders {
        &self.leaders
    }

    /// Does `work` whenever this replica leads, until `stop`. Then, and when the work ends by itself, the lock is given
    /// back, so that another replica takes it at once.
    ///
    /// `work` is told by its token that it is to end, in time before another replica may lead. What has not ended two
    /// seconds later is dropped; tasks that it started must end with it.
    pub async fn run<W, F>(&self, lock: &Lock, stop: &CancellationToken, mut work: W)
    where
        W: FnMut(CancellationToken) -> F,
        F: Future<Output = ()>,
    {
        let name = lock.object_name(&self.candidate.revision);
        if !self.candidate.enabled {
            self.leaders.leads(&name, &self.candidate.identity);
            let leading = stop.child_token();
            let work = work(leading.clone());
            tokio::select! {
                () = work => {}
                () = async { leading.cancelled().await; tokio::time::sleep(GRACE).await } => {}
            }
            return;
        }
        let revisions =
            if lock.per_revision { watch::channel(None).1 } else { self.default.follow(&self.connection) };
        match lock.object {
            LockObject::ConfigMap => {
                Campaign::<ConfigMap>::new(self, lock, name, revisions).run(stop, &mut work).await;
            }
            LockObject::Lease => {
                Campaign::<Lease>::new(self, lock, name, revisions).run(stop, &mut work).await;
            }
        }
    }
}
