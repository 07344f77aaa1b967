//! An API server for tests: lists in pages, watches with versions and bookmarks, all in memory, on a port of its own.

mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

/// Where definitions are.
pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The server. It ends when dropped.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    shared: Shared,
    running: Option<JoinHandle<()>>,
}

type Shared = Arc<Mutex<Content>>;

/// Namespace and name.
type Id = (String, String);

/// What the server holds.
#[derive(Default)]
struct Content {
    version: u64,
    /// Watches from before this version are refused.
    oldest: u64,
    /// Objects by the path of their list.
    lists: BTreeMap<String, BTreeMap<Id, Value>>,
    /// Events with their version and the path of their list.
    history: Vec<(u64, String, Value)>,
    watches: Vec<(String, UnboundedSender<Value>)>,
    requests: Vec<String>,
    /// Whether watches are told nothing.
    silent: bool,
}

impl Content {
    fn event(&mut self, path: &str, kind: &str, object: Value) {
        let event = json!({"type": kind, "object": object});
        if !self.silent {
            self.watches.retain(|(watched, sender)| watched != path || sender.send(event.clone()).is_ok());
        }
        if kind != "BOOKMARK" {
            self.history.push((self.version, path.to_owned(), event));
        }
    }
}

fn id(object: &Value) -> Id {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

impl FakeServer {
    /// A server that has these lists, all empty.
    pub(crate) async fn start(paths: &[&str]) -> Self {
        let shared = Shared::default();
        for path in paths {
            lock(&shared).lists.insert((*path).to_owned(), BTreeMap::new());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let running = Some(tokio::spawn(serve::run(listener, Arc::clone(&shared))));
        Self { address, shared, running }
    }

    /// Closes the port and all connections.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
        self.content().watches.clear();
    }

    /// Listens again where it did before.
    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.running = Some(tokio::spawn(serve::run(listener, Arc::clone(&self.shared))));
    }

    /// Adds or changes an object.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut content = self.content();
        content.version += 1;
        object["metadata"]["resourceVersion"] = content.version.to_string().into();
        let list = content.lists.get_mut(path).expect("a list");
        let old = list.insert(id(&object), object.clone());
        content.event(path, if old.is_none() { "ADDED" } else { "MODIFIED" }, object);
    }

    /// Takes an object away.
    pub(crate) fn delete(&self, path: &str, namespace: &str, name: &str) {
        let mut content = self.content();
        content.version += 1;
        let list = content.lists.get_mut(path).expect("a list");
        let mut object = list.remove(&(namespace.to_owned(), name.to_owned())).expect("an object");
        object["metadata"]["resourceVersion"] = content.version.to_string().into();
        content.event(path, "DELETED", object);
    }

    /// Serves a further kind.
    pub(crate) fn add_list(&self, path: &str) {
        self.content().lists.insert(path.to_owned(), BTreeMap::new());
    }

    /// Serves a kind no longer; its watches end.
    pub(crate) fn remove_list(&self, path: &str) {
        let mut content = self.content();
        content.lists.remove(path);
        content.watches.retain(|(watched, _)| watched != path);
    }

    /// Installs a definition.
    pub(crate) fn define(&self, name: &str) {
        self.put(DEFINITIONS, json!({"metadata": {"name": name}}));
    }

    /// Tells all watches of a list the present version.
    pub(crate) fn bookmark(&self, path: &str) {
        let mut content = self.content();
        let object = json!({"apiVersion": "v1", "kind": "Any",
            "metadata": {"resourceVersion": content.version.to_string()}});
        content.event(path, "BOOKMARK", object);
    }

    /// Tells watches nothing from now on.
    pub(crate) fn fall_silent(&self) {
        self.content().silent = true;
    }

    /// Forgets what was before this moment.
    pub(crate) fn forget(&self) {
        let mut content = self.content();
        content.oldest = content.version;
    }

    /// Ends all watches; those that come later are told everything.
    pub(crate) fn end_watches(&self) {
        let mut content = self.content();
        content.watches.clear();
        content.silent = false;
    }

    /// Sends a line that is no event to the watches of a list.
    pub(crate) fn garble(&self, path: &str) {
        let content = self.content();
        for (_, sender) in content.watches.iter().filter(|(watched, _)| watched == path) {
            sender.send(json!({"type": "ADDED", "object": 1})).expect("a watch");
        }
    }

    /// How many requests for a list came whose query has this in it.
    pub(crate) fn asked(&self, path: &str, query: &str) -> usize {
        let content = self.content();
        let asked = |request: &&String| {
            request.split_once('?').is_some_and(|(asked, with)| asked == path && with.contains(query))
        };
        content.requests.iter().filter(asked).count()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.shared)
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Content> {
    shared.lock().expect("no panic")
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}
