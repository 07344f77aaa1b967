//! The whole source: starts and stops what follows each scope, and sends what differs in batches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Kind;
use kube::api::{Api, ListParams, WatchParams};
use kube::{Client, ResourceExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::definitions::{self, Definition};
use super::document::Document;
use super::follow::{Change, Follower};
use super::health::Health;
use super::reach::Reach;
use super::reading::{self, Reading};
use super::scope::{self, Scope};
use super::state::{Number, State};
use crate::event::Batch;
use crate::report::Place;

#[cfg(test)]
mod tests;

/// Changes that may wait before the watches do.
const WAITING: usize = 256;

/// Changes that are taken into one batch at most: a watch that never pauses must not keep the others' changes back.
const TOGETHER: usize = 1024;

/// What is read from a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kinds. ConfigMaps are read by name, below, and only if their kind is among these.
    pub kinds: Vec<Kind>,
    /// Namespace and name of the ConfigMaps that are read.
    pub config_maps: Vec<(Arc<str>, Arc<str>)>,
    /// Those of further ones, as other objects come to name them; only where ConfigMaps are read at all.
    pub wanted: watch::Receiver<ConfigMaps>,
}

/// Namespaces and names of ConfigMaps.
pub type ConfigMaps = BTreeSet<(Arc<str>, Arc<str>)>;

/// A fault of the program.
#[derive(Debug, thiserror::Error)]
#[error("a task that follows the API server failed: {0}")]
pub struct SourceError(#[from] task::JoinError);

/// Follows a cluster until `shutdown`, or until nobody receives.
///
/// The first batch is complete ([`Batch::complete`]): it comes when every kind has been listed. Later ones are never
/// empty. Errors of the API server are told in its health and waited out.
///
/// # Errors
///
/// A fault of the program.
pub async fn watch(
    connection: Connection,
    options: Options,
    sender: mpsc::Sender<Batch>,
    shutdown: CancellationToken,
) -> Result<(), SourceError> {
    let (changes, changed) = mpsc::channel(WAITING);
    let (defined, definitions) = mpsc::channel(WAITING);
    let (own, custom): (Vec<Kind>, Vec<Kind>) =
        options.kinds.iter().copied().partition(|kind| scope::defined(*kind).is_none());
    let mut source = Source {
        cluster: Place::cluster(connection.health().cluster()),
        client: connection.client().clone(),
        health: connection.health().clone(),
        reach: connection.reach().clone(),
        changes,
        state: State::new(!custom.is_empty()),
        custom: custom
            .into_iter()
            .filter_map(|kind| Some((scope::defined(kind)?, Custom::of(kind))))
            .collect(),
        tasks: JoinSet::new(),
        last: 0,
        names: options.kinds.contains(&Kind::ConfigMap),
        fixed: options.config_maps.iter().cloned().collect(),
        wanted: options.wanted.clone(),
        named: BTreeMap::new(),
    };
    for scope in own.into_iter().flat_map(|kind| scopes(kind, &options)) {
        source.follow(scope, &Arc::default());
    }
    if !source.custom.is_empty() {
        source.follow_definitions(defined);
    }
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = source.run(changed, definitions, sender) => ended,
    }
}

/// What is followed for a kind of Kubernetes itself.
fn scopes(kind: Kind, options: &Options) -> Vec<Scope> {
    match kind {
        Kind::ConfigMap => {
            options.config_maps.iter().map(|name| Scope { kind, only: Some(name.clone()) }).collect()
        }
        kind => vec![Scope::all(kind)],
    }
}

/// A kind that a definition brings.
#[derive(Debug)]
struct Custom {
    kind: Kind,
    /// Tells its follower that the definition is another.
    again: Arc<Notify>,
    /// Its follower, while the definition is installed.
    followed: Option<(Number, task::AbortHandle)>,
}

impl Custom {
    fn of(kind: Kind) -> Self {
        Self { kind, again: Arc::default(), followed: None }
    }
}

struct Source {
    client: Client,
    /// Where reports say that an object is.
    cluster: Place,
    health: Health,
    reach: Reach,
    changes: mpsc::Sender<(Number, Change<Reading>)>,
    state: State,
    custom: BTreeMap<String, Custom>,
    tasks: JoinSet<()>,
    last: Number,
    /// Whether ConfigMaps are read at all.
    names: bool,
    /// Those that are followed from the start.
    fixed: ConfigMaps,
    /// Those that are to be followed as well, and those that are.
    wanted: watch::Receiver<ConfigMaps>,
    named: BTreeMap<(Arc<str>, Arc<str>), (Scope, Number, task::AbortHandle)>,
}

impl Source {
    async fn run(
        &mut self,
        mut changed: mpsc::Receiver<(Number, Change<Reading>)>,
        mut definitions: mpsc::Receiver<(Number, Change<String>)>,
        sender: mpsc::Sender<Batch>,
    ) -> Result<(), SourceError> {
        loop {
            tokio::select! {
                Some((number, change)) = changed.recv() => self.state.take(number, change),
                Some((_, change)) = definitions.recv() => self.define(change),
                Ok(()) = self.wanted.changed() => self.name(),
                Some(ended) = self.tasks.join_next() => match ended {
                    Err(error) if error.is_panic() => return Err(error.into()),
                    // Stopped with its definition.
                    _ => continue,
                },
            }
            for _ in 0..TOGETHER {
                let Ok((number, change)) = changed.try_recv() else { break };
                self.state.take(number, change);
            }
            if let Some(batch) = self.state.batch() {
                batch.log("an object of the cluster");
                if sender.send(batch).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Starts to follow a scope.
    fn follow(&mut self, scope: Scope, again: &Arc<Notify>) -> (Number, task::AbortHandle) {
        self.last += 1;
        let (kind, cluster) = (scope.kind, self.cluster.clone());
        let resource = scope::resource(kind);
        let api = match &scope.only {
            Some((namespace, _)) => {
                Api::<Document>::namespaced_with(self.client.clone(), namespace, &resource)
            }
            None => Api::all_with(self.client.clone(), &resource),
        };
        let follower = Follower {
            number: self.last,
            name: scope.to_string(),
            api,
            list: scope.list(),
            watch: scope.watch(),
            read: move |document| reading::read(kind, &cluster, document),
            changes: self.changes.clone(),
            reach: self.reach.clone(),
            health: self.health.clone(),
            again: Arc::clone(again),
        };
        self.health.add(&follower.name);
        self.state.add(self.last);
        (self.last, self.tasks.spawn(follower.run()))
    }

    /// Follows the ConfigMaps that are wanted now, and no others.
    fn name(&mut self) {
        let mut wanted = self.wanted.borrow_and_update().clone();
        if !self.names {
            wanted.clear();
        }
        let gone: Vec<_> = self.named.extract_if(.., |name, _| !wanted.contains(name)).collect();
        for (_, (scope, number, follower)) in gone {
            follower.abort();
            self.state.remove(number);
            self.health.remove(&scope.to_string());
        }
        for name in wanted {
            if self.fixed.contains(&name) || self.named.contains_key(&name) {
                continue;
            }
            let scope = Scope { kind: Kind::ConfigMap, only: Some(name.clone()) };
            let (number, follower) = self.follow(scope.clone(), &Arc::default());
            self.named.insert(name, (scope, number, follower));
        }
    }

    fn follow_definitions(&mut self, defined: mpsc::Sender<(Number, Change<String>)>) {
        let follower = Follower {
            number: 0,
            name: definitions::NAME.to_owned(),
            api: Api::<Definition>::all(self.client.clone()),
            list: ListParams::default(),
            watch: WatchParams::default(),
            read: |definition: Definition| definition.name_any(),
            changes: defined,
            reach: self.reach.clone(),
            health: self.health.clone(),
            again: Arc::default(),
        };
        self.health.add(&follower.name);
        self.tasks.spawn(follower.run());
    }

    /// Takes what is known of definitions.
    fn define(&mut self, change: Change<String>) {
        match change {
            Change::Listed(names) => {
                let vanished: Vec<String> =
                    self.custom.keys().filter(|name| !names.contains(name)).cloned().collect();
                vanished.iter().for_each(|name| self.vanished(name));
                names.iter().for_each(|name| self.appeared(name));
                self.state.close();
            }
            Change::Applied(name) => self.appeared(&name),
            Change::Deleted(name) => self.vanished(&name),
            Change::Absent => self.state.close(),
        }
    }

    /// A definition is there: its kind is followed. If it is already, the kind may be served only now.
    fn appeared(&mut self, name: &str) {
        let Some(custom) = self.custom.get(name) else { return };
        if custom.followed.is_some() {
            custom.again.notify_one();
            return;
        }
        let (kind, again) = (custom.kind, Arc::clone(&custom.again));
        tracing::debug!(definition = name, "installed");
        let followed = self.follow(Scope::all(kind), &again);
        if let Some(custom) = self.custom.get_mut(name) {
            custom.followed = Some(followed);
        }
    }

    /// A definition is gone, and with it all objects of its kind.
    fn vanished(&mut self, name: &str) {
        let Some((kind, (number, follower))) =
            self.custom.get_mut(name).and_then(|custom| Some((custom.kind, custom.followed.take()?)))
        else {
            return;
        };
        tracing::debug!(definition = name, "no longer installed");
        follower.abort();
        self.state.remove(number);
        self.health.remove(&Scope::all(kind).to_string());
    }
}
