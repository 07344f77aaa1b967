//! How each other cluster fares, for `/debug/clusterz`, `/ready` and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kube::connection::Connection;
use crate::kube::health::Health;

/// How far a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// All of it has been listed.
    Synced,
    /// It is being listed.
    Syncing,
    /// It is still being listed, and nobody waits for it any longer.
    Timeout,
}

impl SyncStatus {
    /// The reference's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Syncing => "syncing",
            Self::Timeout => "timeout",
        }
    }
}

/// What happened to a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretEvent {
    /// It is new.
    Add,
    /// It says something else.
    Update,
    /// It is gone.
    Delete,
}

impl SecretEvent {
    /// The reference's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Its name.
    pub cluster: Arc<str>,
    /// The Secret that provides it, as NAMESPACE/NAME; empty for the home cluster.
    pub secret: String,
    /// How far it is.
    pub status: SyncStatus,
}

/// The home cluster and all others. Clones are the same.
#[derive(Clone, Debug)]
pub struct Remotes {
    home: Health,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    clusters: BTreeMap<Arc<str>, Known>,
    connections: BTreeMap<Arc<str>, Connection>,
    timeouts: BTreeMap<Arc<str>, u64>,
    events: BTreeMap<SecretEvent, u64>,
}

#[derive(Debug)]
struct Known {
    secret: String,
    status: SyncStatus,
    health: Health,
}

impl Remotes {
    /// No others yet.
    pub fn new(home: Health) -> Self {
        Self { home, state: Arc::default() }
    }

    /// How the source of the home cluster fares.
    pub fn home(&self) -> &Health {
        &self.home
    }

    /// All clusters, the home cluster first.
    pub fn list(&self) -> Vec<ClusterStatus> {
        let kinds = self.home.kinds();
        let listed = !kinds.is_empty() && kinds.iter().all(|kind| kind.listed);
        let status = if listed { SyncStatus::Synced } else { SyncStatus::Syncing };
        let home = ClusterStatus { cluster: self.home.cluster().into(), secret: String::new(), status };
        let mut all = vec![home];
        all.extend(self.remotes());
        all
    }

    /// The clusters but for the home cluster.
    pub fn remotes(&self) -> Vec<ClusterStatus> {
        let one = |(cluster, known): (&Arc<str>, &Known)| ClusterStatus {
            cluster: Arc::clone(cluster),
            secret: known.secret.clone(),
            status: known.status,
        };
        self.lock().clusters.iter().map(one).collect()
    }

    /// How the source of each cluster fares, that of the home cluster first.
    pub fn healths(&self) -> Vec<Health> {
        let remotes = self.lock().clusters.values().map(|known| known.health.clone()).collect::<Vec<_>>();
        std::iter::once(self.home.clone()).chain(remotes).collect()
    }

    /// How often it was given up to wait for a cluster.
    pub fn timeouts(&self) -> Vec<(Arc<str>, u64)> {
        self.lock().timeouts.iter().map(|(cluster, count)| (Arc::clone(cluster), *count)).collect()
    }

    /// How often Secrets came, changed and went.
    pub fn secret_events(&self) -> Vec<(SecretEvent, u64)> {
        self.lock().events.iter().map(|(event, count)| (*event, *count)).collect()
    }

    /// What does not go well, a line each, over all clusters.
    pub fn lines(&self) -> Vec<String> {
        self.healths().iter().flat_map(Health::lines).collect()
    }

    /// The API server of a cluster that is followed, under the credentials that came last.
    pub fn connection(&self, cluster: &str) -> Option<Connection> {
        self.lock().connections.get(cluster).cloned()
    }

    pub(super) fn reached(&self, cluster: &Arc<str>, connection: Connection) {
        self.lock().connections.insert(Arc::clone(cluster), connection);
    }

    pub(super) fn set(&self, cluster: &Arc<str>, secret: String, status: SyncStatus, health: Health) {
        self.lock().clusters.insert(Arc::clone(cluster), Known { secret, status, health });
    }

    pub(super) fn remove(&self, cluster: &str) {
        let mut state = self.lock();
        state.clusters.remove(cluster);
        state.connections.remove(cluster);
    }

    pub(super) fn timed_out(&self, cluster: &Arc<str>) {
        let mut state = self.lock();
        let count = state.timeouts.entry(Arc::clone(cluster)).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn event(&self, event: SecretEvent) {
        let mut state = self.lock();
        let count = state.events.entry(event).or_default();
        *count = count.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
