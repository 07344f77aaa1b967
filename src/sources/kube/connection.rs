//! One cluster's API server: its client, how it fares, where to wait for it. Made once, shared by all that use it.

use std::fmt::{self, Debug};
use std::sync::Arc;

use kube::api::{Api, ListParams, WatchParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::follow::{Change, Follower};
use super::health::Health;
use super::reach::Reach;
use super::scope::PAGE;
use super::state::Number;

/// Changes that may wait before the watch does.
const WAITING: usize = 64;

/// A cluster's API server. Clones are the same.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    health: Health,
    reach: Reach,
    /// Probes the server while it is lost, for all clones.
    _probe: Arc<AbortOnDropHandle<()>>,
}

impl Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("health", &self.health).finish_non_exhaustive()
    }
}

/// Which objects of a kind are followed: those that both selectors select. Empty ones select all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// A label selector, as `a=b,c`.
    pub labels: String,
    /// A field selector, as `metadata.name=a`.
    pub fields: String,
}

impl Selection {
    /// The objects of one name.
    pub fn named(name: &str) -> Self {
        Self { fields: format!("metadata.name={name}"), ..Self::default() }
    }

    fn list(&self) -> ListParams {
        ListParams {
            label_selector: some(&self.labels),
            field_selector: some(&self.fields),
            ..ListParams::default().limit(PAGE)
        }
    }

    fn watch(&self) -> WatchParams {
        WatchParams {
            label_selector: some(&self.labels),
            field_selector: some(&self.fields),
            ..WatchParams::default()
        }
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

impl Connection {
    /// Of a server that is taken to be there. Must be called in a runtime, which probes the server when it is lost.
    pub fn new(client: Client, health: Health) -> Self {
        let reach = Reach::new();
        let probe = tokio::spawn(reach.clone().probe(client.clone(), health.clone()));
        Self { client, health, reach, _probe: Arc::new(AbortOnDropHandle::new(probe)) }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How it fares.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Returns when the server answers. To be called after a request that got no answer.
    pub async fn regained(&self) {
        self.reach.regained().await;
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Follows the objects of `api` that `selection` selects, each turned by `read` into what the caller needs of it: a
    /// list, then a watch, again and again. Errors are told in [`Health`] under `name` and waited out.
    ///
    /// What [`crate::kube::watch`] follows need not be followed a second time: see [`crate::feed`].
    pub fn follow<K, T>(
        &self,
        name: &str,
        api: Api<K>,
        selection: &Selection,
        read: impl Fn(K) -> T + Send + Sync + 'static,
    ) -> Following<T>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        T: Send + 'static,
    {
        let (changes, changed) = mpsc::channel(WAITING);
        let follower = Follower {
            number: 0,
            name: name.to_owned(),
            api,
            list: selection.list(),
            watch: selection.watch(),
            read,
            changes,
            reach: self.reach.clone(),
            health: self.health.clone(),
            again: Arc::default(),
        };
        self.health.add(name);
        // The mesh does not wait for it: that it takes a moment is nothing to be told.
        self.health.listed(name);
        Following {
            changed,
            name: name.to_owned(),
            health: self.health.clone(),
            _task: AbortOnDropHandle::new(tokio::spawn(follower.run())),
        }
    }
}

/// Objects that are followed until this is dropped.
#[derive(Debug)]
pub struct Following<T> {
    changed: mpsc::Receiver<(Number, Change<T>)>,
    name: String,
    health: Health,
    _task: AbortOnDropHandle<()>,
}

impl<T> Following<T> {
    /// The next change; the first one is a list, or that there is no such kind. None after a fault of the program.
    pub async fn next(&mut self) -> Option<Change<T>> {
        self.changed.recv().await.map(|(_, change)| change)
    }
}

impl<T> Drop for Following<T> {
    fn drop(&mut self) {
        self.health.remove(&self.name);
    }
}
