//! All streams that are connected, for `/debug` and for those who must end them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::clock::Clock;
use super::mailbox::Mailbox;
use super::status::Status;
use crate::engine::{ProxyId, ProxySets};
use crate::generate::{NodeInfo, Peer};
use crate::kind::ResourceType;
use crate::protocol::{Standing, Stream, StreamStatus};

/// One connected stream.
pub struct Client {
    number: u64,
    /// The connection that carries it.
    connection: u64,
    proxy: ProxyId,
    id: String,
    connected_at: Duration,
    clock: Clock,
    peer: Peer,
    node: NodeInfo,
    stream: Mutex<Stream>,
    mailbox: Mailbox,
}

/// What is known of a stream, as plain data.
#[derive(Clone, Debug, Serialize)]
pub struct ClientStatus {
    /// `<node>-<number>`.
    pub connection_id: String,
    /// The `node.id` of the first request.
    pub node_id: String,
    /// When the stream was opened.
    pub connected_at: SystemTime,
    /// The client's address.
    pub address: Option<std::net::SocketAddr>,
    /// What it was sent, acknowledged and refused.
    pub stream: StreamStatus,
}

impl Client {
    /// `<node>-<number>`.
    pub fn connection_id(&self) -> &str {
        &self.id
    }

    /// The engine's number of the client.
    pub const fn proxy(&self) -> ProxyId {
        self.proxy
    }

    /// The proxy's name, `<pod>.<namespace>` for those of the mesh.
    pub fn proxy_name(&self) -> &str {
        proxy_id(&self.node.id)
    }

    /// Where the client stands with a type; `None` if it does not ask for the type.
    pub fn standing(&self, kind: ResourceType) -> Option<Standing> {
        self.stream().standing(kind)
    }

    /// When the stream was opened.
    pub fn connected_at(&self) -> SystemTime {
        self.clock.wall(self.connected_at)
    }

    /// Who is at the other end.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The node of the first request.
    pub const fn node(&self) -> &NodeInfo {
        &self.node
    }

    /// The wall's time of a time in [`StreamStatus`].
    pub fn wall(&self, at: Duration) -> SystemTime {
        self.clock.wall(at)
    }

    /// All that `/debug` shows, but for the names.
    pub fn status(&self) -> ClientStatus {
        ClientStatus {
            connection_id: self.id.clone(),
            node_id: self.node.id.clone(),
            connected_at: self.connected_at(),
            address: self.peer.address,
            stream: self.stream().status(),
        }
    }

    /// The names that the client wants of a type.
    pub fn watched_names(&self, kind: ResourceType) -> Vec<Arc<str>> {
        self.stream().watched_names(kind)
    }

    /// The sets that the client was sent, or that are on their way to it.
    pub fn sets(&self) -> ProxySets {
        self.stream().sets().clone()
    }

    /// Ends the stream with this status.
    pub fn close(&self, status: Status) {
        self.mailbox.close(status);
    }

    /// Counts the streams of the process.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The protocol's state; held for as long as one step of the stream takes.
    pub(super) fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All streams. Clones are the same list.
#[derive(Clone)]
pub struct Clients {
    clock: Clock,
    list: Arc<Mutex<BTreeMap<u64, Arc<Client>>>>,
    count: Arc<AtomicU64>,
}

impl Clients {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, list: Arc::default(), count: Arc::default() }
    }

    /// The streams, the oldest first.
    pub fn list(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Ends all streams with this status.
    pub fn close_all(&self, status: &Status) {
        self.list().iter().for_each(|client| client.close(status.clone()));
    }

    /// Ends the streams of one connection.
    pub(super) fn close_connection(&self, connection: u64, status: &Status) {
        let list = self.list();
        let of = list.iter().filter(|client| client.connection == connection);
        of.for_each(|client| client.close(status.clone()));
    }

    /// Adds a stream; `stream` makes its state from the number that begins its nonces.
    pub(super) fn add(
        &self,
        (connection, peer): (u64, Peer),
        (proxy, node): (ProxyId, NodeInfo),
        mailbox: Mailbox,
        stream: impl FnOnce(u64) -> Stream,
    ) -> Arc<Client> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client {
            number,
            connection,
            proxy,
            id: format!("{}-{number}", proxy_id(&node.id)),
            connected_at: self.clock.now(),
            clock: self.clock,
            peer,
            // Envoys list all of their extensions: a hundred kilobytes that nobody asks for any more.
            node: NodeInfo { extensions: Vec::new(), ..node },
            stream: Mutex::new(stream(number)),
            mailbox,
        });
        self.lock().insert(number, Arc::clone(&client));
        client
    }

    pub(super) fn remove(&self, client: &Client) {
        self.lock().remove(&client.number);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `<pod>.<namespace>` of a node id of the form `<type>~<ip>~<pod>.<namespace>~<domain>`; the whole of any other.
pub(super) fn proxy_id(node_id: &str) -> &str {
    node_id.split('~').nth(2).unwrap_or(node_id)
}
