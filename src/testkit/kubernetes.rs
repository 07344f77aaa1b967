//! An API server for tests: lists in pages, watches with versions and bookmarks, writes that are refused when they come
//! too late, all in memory, on a port of its own.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that asks for what is not there is wrong"
)]

mod objects;
mod serve;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

/// The list of definitions.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The server. It ends when dropped.
#[derive(Debug)]
pub struct FakeServer {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Shared,
    running: Option<JoinHandle<()>>,
}

type Shared = Arc<Mutex<Content>>;

/// Namespace and name.
type Id = (String, String);

/// What the server holds.
#[derive(Debug, Default)]
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
    /// Writes that came, as `VERB list namespace/name`, whatever became of them.
    writes: Vec<String>,
    /// Verbs that are forbidden on lists.
    forbidden: BTreeSet<(String, String)>,
    /// Whether watches are told nothing.
    silent: bool,
}

impl Content {
    /// Adds or changes an object; out as it is now.
    fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let metadata = member(&mut object, "metadata");
        metadata.insert("resourceVersion".to_owned(), self.version.to_string().into());
        let list = self.lists.get_mut(path).expect("a list");
        let old = list.insert(id(&object), object.clone());
        self.event(path, if old.is_none() { "ADDED" } else { "MODIFIED" }, object.clone());
        object
    }

    fn delete(&mut self, path: &str, id: &Id) {
        self.version += 1;
        let list = self.lists.get_mut(path).expect("a list");
        let mut object = list.remove(id).expect("an object");
        member(&mut object, "metadata").insert("resourceVersion".to_owned(), self.version.to_string().into());
        self.event(path, "DELETED", object);
    }

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
    (metadata(object, "namespace").to_owned(), metadata(object, "name").to_owned())
}

/// A text of an object's metadata; empty if it is not there.
fn metadata<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// A mapping inside of an object, made if it is not there.
fn member<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let members = object.as_object_mut().expect("an object");
    let member = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    member.as_object_mut().expect("a mapping")
}

impl FakeServer {
    /// A server that has these lists, all empty.
    pub async fn start(paths: &[&str]) -> Self {
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
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
        self.content().watches.clear();
    }

    /// Listens again where it did before.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.running = Some(tokio::spawn(serve::run(listener, Arc::clone(&self.shared))));
    }

    /// Adds or changes an object.
    pub fn put(&self, path: &str, object: Value) {
        self.content().put(path, object);
    }

    /// An object as it is now; none if it is not there.
    pub fn get(&self, path: &str, namespace: &str, name: &str) -> Option<Value> {
        self.content().lists.get(path)?.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a list as they are now.
    pub fn all(&self, path: &str) -> Vec<Value> {
        self.content().lists.get(path).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The writes that came so far, as `create /api/v1/configmaps shop/name`, whatever became of them. The verbs are
    /// create, update, patch and delete, `patch status` for a subresource.
    pub fn writes(&self) -> Vec<String> {
        self.content().writes.clone()
    }

    /// Refuses a verb (get, list, watch, create, update, patch) on a list from now on.
    pub fn forbid(&self, verb: &str, path: &str) {
        self.content().forbidden.insert((verb.to_owned(), path.to_owned()));
    }

    /// Refuses it no longer.
    pub fn allow(&self, verb: &str, path: &str) {
        self.content().forbidden.remove(&(verb.to_owned(), path.to_owned()));
    }

    /// Takes an object away.
    pub fn delete(&self, path: &str, namespace: &str, name: &str) {
        self.content().delete(path, &(namespace.to_owned(), name.to_owned()));
    }

    /// Serves a further kind.
    pub fn add_list(&self, path: &str) {
        self.content().lists.insert(path.to_owned(), BTreeMap::new());
    }

    /// Serves a kind no longer; its watches end.
    pub fn remove_list(&self, path: &str) {
        let mut content = self.content();
        content.lists.remove(path);
        content.watches.retain(|(watched, _)| watched != path);
    }

    /// Installs a definition.
    pub fn define(&self, name: &str) {
        self.put(DEFINITIONS, json!({"metadata": {"name": name}}));
    }

    /// Tells all watches of a list the present version.
    pub fn bookmark(&self, path: &str) {
        let mut content = self.content();
        let object = json!({"apiVersion": "v1", "kind": "Any",
            "metadata": {"resourceVersion": content.version.to_string()}});
        content.event(path, "BOOKMARK", object);
    }

    /// Tells watches nothing from now on.
    pub fn fall_silent(&self) {
        self.content().silent = true;
    }

    /// Forgets what was before this moment.
    pub fn forget(&self) {
        let mut content = self.content();
        content.oldest = content.version;
    }

    /// Ends all watches; those that come later are told everything.
    pub fn end_watches(&self) {
        let mut content = self.content();
        content.watches.clear();
        content.silent = false;
    }

    /// Sends a line that is no event to the watches of a list.
    pub fn garble(&self, path: &str) {
        let content = self.content();
        for (_, sender) in content.watches.iter().filter(|(watched, _)| watched == path) {
            sender.send(json!({"type": "ADDED", "object": 1})).expect("a watch");
        }
    }

    /// How many requests for a list came whose query has this in it.
    pub fn asked(&self, path: &str, query: &str) -> usize {
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
