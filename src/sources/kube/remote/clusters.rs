//! The sources of the other clusters: started, exchanged for one with other credentials once that has listed all, ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::kubeconfig::{self, Refusal};
use super::secrets::Hidden;
use super::status::{Remotes, SyncStatus};
use super::table::{self, Provided};
use super::{Options, limit};
use crate::event::Batch;
use crate::kube::connection::Connection;
use crate::kube::health::Health;
use crate::kube::source::{self, SourceError};
use crate::report::{Report, Reports};

/// Batches of one cluster that may wait.
const WAITING: usize = 16;

/// Names a source: one that follows another of the same cluster has another number.
type Number = u64;

/// What a source says.
#[derive(Debug)]
pub(super) enum Said {
    /// What differs.
    Batch(Batch),
    /// Its kubeconfig is not used.
    Refused(Refusal),
}

/// All sources.
#[derive(Debug)]
pub(super) struct Clusters {
    home: Arc<str>,
    options: Options,
    status: Remotes,
    said: mpsc::Sender<(Number, Said)>,
    clusters: BTreeMap<Arc<str>, Cluster>,
    last: Number,
}

#[derive(Debug)]
struct Cluster {
    provided: Provided,
    /// What is served.
    current: Option<Source>,
    /// What takes its place when it has listed all.
    next: Option<Source>,
    /// Why the kubeconfig is not used.
    refused: Option<Refusal>,
}

#[derive(Debug)]
struct Source {
    number: Number,
    health: Health,
    /// What it found wrong and was passed on.
    reports: Reports,
    /// When nobody waits for it any longer; none after that.
    deadline: Option<Instant>,
    /// Whether it was waited for in vain.
    late: bool,
    _stop: DropGuard,
}

impl Clusters {
    /// None yet; what their sources say goes to `said`.
    pub(super) fn new(
        home: &str,
        options: Options,
        status: Remotes,
        said: mpsc::Sender<(Number, Said)>,
    ) -> Self {
        Self { home: home.into(), options, status, said, clusters: BTreeMap::new(), last: 0 }
    }

    /// Ends the sources of clusters that nobody provides any longer, and starts those that are new or provided otherwise.
    /// What is gone is told in the batches.
    pub(super) fn settle(
        &mut self,
        provided: BTreeMap<Arc<str>, Provided>,
        tasks: &mut JoinSet<Result<(), SourceError>>,
    ) -> Vec<Batch> {
        let gone: Vec<Arc<str>> =
            self.clusters.keys().filter(|name| !provided.contains_key(*name)).cloned().collect();
        let batches = gone.iter().filter_map(|name| self.end(name)).collect();
        for (name, how) in provided {
            match self.clusters.get_mut(&name) {
                Some(known) if known.provided.kubeconfig == how.kubeconfig => known.provided = how,
                Some(known) => {
                    tracing::info!(
                        cluster = &*name,
                        "reached otherwise from now on, once all of it has been listed"
                    );
                    known.provided = how;
                    self.start(&name, tasks);
                }
                None => {
                    tracing::info!(cluster = &*name, "followed from now on");
                    let cluster = Cluster { provided: how, current: None, next: None, refused: None };
                    self.clusters.insert(Arc::clone(&name), cluster);
                    self.start(&name, tasks);
                }
            }
            self.tell(&name);
        }
        batches
    }

    /// Takes what a source says; what the mesh is to know comes back.
    pub(super) fn take(&mut self, number: Number, said: Said) -> Option<Batch> {
        let of = |source: &Option<Source>| source.as_ref().is_some_and(|source| source.number == number);
        let (name, cluster) = self.clusters.iter_mut().find(|(_, c)| of(&c.current) || of(&c.next))?;
        let name = Arc::clone(name);
        let batch = match said {
            Said::Refused(refusal) => {
                cluster.next = None;
                cluster.refused = Some(refusal);
                None
            }
            Said::Batch(mut batch) => {
                if let Some(new) = cluster.next.take_if(|next| next.number == number) {
                    tracing::info!(cluster = &*name, "all of it has been listed");
                    let old = cluster.current.replace(new);
                    batch.cleared.extend(old.iter().flat_map(|old| old.reports.shared()));
                }
                if let Some(current) = &mut cluster.current {
                    current.deadline = None;
                    current.late = false;
                    batch.cleared.retain(|report| !batch.appeared.contains(report));
                    current.reports.apply(&batch);
                }
                Some(Batch { cluster: Some(Arc::clone(&name)), ..batch })
            }
        };
        self.tell(&name);
        batch
    }

    /// When the next source is no longer waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sources().filter_map(|source| source.deadline).min()
    }

    /// Takes note of the sources that are no longer waited for.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut late = Vec::new();
        for (name, cluster) in &mut self.clusters {
            let Some(next) = cluster.next.as_mut().filter(|n| n.deadline.is_some_and(|at| at <= now)) else {
                continue;
            };
            (next.deadline, next.late) = (None, true);
            let timeout = self.options.timeout;
            let instead = if cluster.current.is_some() {
                "what is known of it stays"
            } else {
                "the mesh is served without it"
            };
            tracing::error!(cluster = &**name, ?timeout, "not all of it could be listed in time, {instead}");
            self.status.timed_out(name);
            late.push(Arc::clone(name));
        }
        late.iter().for_each(|name| self.tell(name));
    }

    /// Whether no cluster is waited for.
    pub(super) fn settled(&self) -> bool {
        self.clusters.values().all(|c| c.next.as_ref().is_none_or(|next| next.late))
    }

    /// Why kubeconfigs are not used, at their Secrets.
    pub(super) fn refused(&self) -> impl Iterator<Item = Arc<Report>> {
        self.clusters.iter().filter_map(|(name, cluster)| {
            let Refusal { field, message, hint } = cluster.refused.clone()?;
            let field = [format!("data.{name}"), field].into_iter().filter(|part| !part.is_empty());
            let field = field.collect::<Vec<_>>().join(".");
            Some(table::report(&self.home, &cluster.provided.secret, field, message, hint))
        })
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.clusters.values().flat_map(|cluster| cluster.current.iter().chain(&cluster.next))
    }

    /// Ends the sources of a cluster: nothing is known of it any longer.
    fn end(&mut self, name: &Arc<str>) -> Option<Batch> {
        let cluster = self.clusters.remove(name)?;
        tracing::info!(cluster = &**name, "no longer followed");
        self.status.remove(name);
        let current = cluster.current?;
        let cleared = current.reports.shared().collect();
        Some(Batch { cluster: Some(Arc::clone(name)), complete: true, cleared, ..Batch::default() })
    }

    /// Starts a source for a cluster that is to take the place of what it has.
    fn start(&mut self, name: &Arc<str>, tasks: &mut JoinSet<Result<(), SourceError>>) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        self.last += 1;
        let (health, stop) = (Health::new(name), CancellationToken::new());
        let follow = Follow {
            name: Arc::clone(name),
            status: self.status.clone(),
            number: self.last,
            kubeconfig: cluster.provided.kubeconfig.clone(),
            allowed: self.options.allowed.clone(),
            options: source::Options {
                kinds: self.options.kinds.clone(),
                config_maps: Vec::new(),
                // Those that are named are the home cluster's.
                wanted: watch::channel(BTreeSet::new()).1,
            },
            health: health.clone(),
            said: self.said.clone(),
            stop: stop.clone(),
        };
        tasks.spawn(follow.run());
        cluster.refused = None;
        cluster.next = Some(Source {
            number: self.last,
            health,
            reports: Reports::default(),
            deadline: limit(self.options.timeout),
            late: false,
            _stop: stop.drop_guard(),
        });
    }

    /// Tells how far a cluster is. One that has no source is not told of.
    fn tell(&self, name: &Arc<str>) {
        let Some(cluster) = self.clusters.get(name) else { return };
        let status = match (&cluster.current, &cluster.next) {
            (_, Some(next)) if next.late => SyncStatus::Timeout,
            (_, Some(_)) => SyncStatus::Syncing,
            _ => SyncStatus::Synced,
        };
        let (namespace, secret) = &cluster.provided.secret;
        match cluster.next.as_ref().or(cluster.current.as_ref()) {
            Some(source) => {
                self.status.set(name, format!("{namespace}/{secret}"), status, source.health.clone());
            }
            None => self.status.remove(name),
        }
    }
}

/// One source, in a task of its own.
struct Follow {
    name: Arc<str>,
    status: Remotes,
    number: Number,
    kubeconfig: Hidden,
    allowed: BTreeSet<String>,
    options: source::Options,
    health: Health,
    said: mpsc::Sender<(Number, Said)>,
    stop: CancellationToken,
}

impl Follow {
    /// Runs until it is stopped, or until nobody listens.
    async fn run(self) -> Result<(), SourceError> {
        let Self { name, status, number, kubeconfig, allowed, options, health, said, stop } = self;
        let client = match kubeconfig::connect(&kubeconfig, &allowed).await {
            Ok(client) => client,
            Err(refusal) => {
                // Nobody listens at the end of the process.
                let _ = said.send((number, Said::Refused(refusal))).await;
                return Ok(());
            }
        };
        let connection = Connection::new(client, health);
        status.reached(&name, connection.clone());
        let (sender, mut batches) = mpsc::channel(WAITING);
        let pass_on = async {
            while let Some(batch) = batches.recv().await {
                if said.send((number, Said::Batch(batch))).await.is_err() {
                    return;
                }
            }
        };
        let (ended, ()) = tokio::join!(source::watch(connection, options, sender, stop), pass_on);
        ended
    }
}
