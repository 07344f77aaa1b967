//! The thread that owns the engine. Updates come before connects; streams hear of their own proxy only.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::backend::{Backend, Connected, Lease};
use super::clock::Clock;
use super::mailbox::Mailbox;
use super::status::Status;
use crate::engine::{Engine, ProxyId, ProxySets};
use crate::failure::catch;
use crate::generate::{Generate, NodeInfo, Peer};
use crate::kind::ResourceType;

/// Clients connected in one go: more share more work, fewer let an update in earlier.
const CONNECTS: usize = 32;

/// The way to the engine thread. The thread ends when all clones and the server are gone.
pub struct EngineHandle<G: Generate>(Arc<Door<G>>);

impl<G: Generate> Clone for EngineHandle<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<G: Generate> EngineHandle<G> {
    /// Gives the engine the next snapshot and what changed; the first makes the server ready. `age` is the time since
    /// the earliest of the events that led to it.
    pub fn update(&self, mesh: Arc<G::Mesh>, changes: G::Changes, age: Duration) {
        let since = self.0.clock.now().saturating_sub(age);
        self.0.queue.put(|inner| inner.updates.push_back(Change { mesh, changes, since }));
    }

    /// Reads something of the engine, between two updates. `None` if there is no snapshot yet, or the thread is gone.
    pub async fn inspect<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Engine<G>) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let ask = move |engine: &Engine<G>| {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(read(engine));
        };
        self.0.queue.put(|inner| inner.asks.push(Box::new(ask)));
        answered.await.ok()
    }

    /// Whether the thread runs. It ends early only by a fault of the engine itself; the process should end then.
    pub fn is_alive(&self) -> bool {
        !self.0.queue.lock().over
    }
}

/// Starts the thread.
pub(super) fn start<G: Generate>(
    generate: Arc<G>,
    clock: Clock,
    hold_for: Duration,
) -> io::Result<(Arc<dyn Backend>, EngineHandle<G>)> {
    let queue = Arc::new(Queue { inner: Mutex::default(), filled: Condvar::new() });
    let door = Arc::new(Door { generate: Arc::clone(&generate), queue: Arc::clone(&queue), clock });
    let worker = Worker { generate, clock, hold_for, engine: None, mailboxes: BTreeMap::new(), queue };
    thread::Builder::new().name("xds-engine".to_owned()).spawn(move || worker.run())?;
    Ok((Arc::<Door<G>>::clone(&door), EngineHandle(door)))
}

/// What clones of the handle share; dropping it ends the thread.
struct Door<G: Generate> {
    generate: Arc<G>,
    queue: Arc<Queue<G>>,
    clock: Clock,
}

impl<G: Generate> Drop for Door<G> {
    fn drop(&mut self) {
        self.queue.put(|inner| inner.over = true);
    }
}

impl<G: Generate> Backend for Door<G> {
    fn connect(
        &self,
        node: &NodeInfo,
        peer: &Peer,
        mailbox: Mailbox,
    ) -> Result<oneshot::Receiver<Result<Connected, Status>>, Status> {
        let proxy = catch(|| self.generate.proxy(node, peer)).map_err(Status::internal)??;
        let (reply, answer) = oneshot::channel();
        let connect = Connect { proxy: Arc::new(proxy), mailbox, reply };
        self.queue.put(|inner| {
            // The reply of a request that nobody will take is dropped, which the stream sees.
            if !inner.over {
                inner.connects.push_back(connect);
            }
        });
        Ok(answer)
    }
}

/// What the thread is to do.
struct Queue<G: Generate> {
    inner: Mutex<Inner<G>>,
    filled: Condvar,
}

struct Inner<G: Generate> {
    updates: VecDeque<Change<G>>,
    connects: VecDeque<Connect<G>>,
    leaving: Vec<ProxyId>,
    asks: Vec<Ask<G>>,
    over: bool,
}

type Ask<G> = Box<dyn FnOnce(&Engine<G>) + Send>;

struct Change<G: Generate> {
    mesh: Arc<G::Mesh>,
    changes: G::Changes,
    since: Duration,
}

struct Connect<G: Generate> {
    proxy: Arc<G::Proxy>,
    mailbox: Mailbox,
    reply: oneshot::Sender<Result<Connected, Status>>,
}

impl<G: Generate> Default for Inner<G> {
    fn default() -> Self {
        Self {
            updates: VecDeque::new(),
            connects: VecDeque::new(),
            leaving: Vec::new(),
            asks: Vec::new(),
            over: false,
        }
    }
}

impl<G: Generate> Inner<G> {
    fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.connects.is_empty() && self.leaving.is_empty() && self.asks.is_empty()
    }
}

/// One round of work.
struct Round<G: Generate> {
    leaving: Vec<ProxyId>,
    update: Option<Change<G>>,
    connects: Vec<Connect<G>>,
    asks: Vec<Ask<G>>,
}

impl<G: Generate> Queue<G> {
    fn lock(&self) -> MutexGuard<'_, Inner<G>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, change: impl FnOnce(&mut Inner<G>)) {
        change(&mut self.lock());
        self.filled.notify_one();
    }

    /// Waits for work or for `patience`; `None` at the end.
    fn take(&self, patience: Option<Duration>) -> Option<Round<G>> {
        let idle = |inner: &mut Inner<G>| inner.is_empty() && !inner.over;
        let inner = self.lock();
        let mut inner = match patience {
            None => self.filled.wait_while(inner, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.filled
                    .wait_timeout_while(inner, patience, idle)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if inner.over {
            return None;
        }
        let update = inner.updates.pop_front();
        // Those who have something go before those who have nothing yet only as long as there are updates.
        let connects = if update.is_some() { 0 } else { inner.connects.len().min(CONNECTS) };
        Some(Round {
            leaving: std::mem::take(&mut inner.leaving),
            update,
            connects: inner.connects.drain(..connects).collect(),
            asks: std::mem::take(&mut inner.asks),
        })
    }
}

/// The thread.
struct Worker<G: Generate> {
    generate: Arc<G>,
    clock: Clock,
    hold_for: Duration,
    /// Made with the first snapshot.
    engine: Option<Engine<G>>,
    mailboxes: BTreeMap<ProxyId, Mailbox>,
    queue: Arc<Queue<G>>,
}

impl<G: Generate> Worker<G> {
    fn run(mut self) {
        loop {
            let deadline = self.engine.as_ref().and_then(Engine::deadline);
            let patience = deadline.map(|at| at.saturating_sub(self.clock.now()));
            let Some(round) = self.queue.take(patience) else { return };
            self.work(round);
        }
    }

    fn work(&mut self, round: Round<G>) {
        for id in round.leaving {
            self.mailboxes.remove(&id);
            if let Some(engine) = &mut self.engine {
                engine.disconnect(id);
            }
        }
        if let Some(change) = round.update {
            self.update(change);
        }
        self.release();
        if !round.connects.is_empty() {
            self.connect(round.connects);
        }
        if let Some(engine) = &self.engine {
            round.asks.into_iter().for_each(|ask| ask(engine));
        }
    }

    fn update(&mut self, change: Change<G>) {
        let Change { mesh, changes, since } = change;
        match &mut self.engine {
            None => self.engine = Some(Engine::new(Arc::clone(&self.generate), mesh, self.hold_for)),
            Some(engine) => {
                let updates = engine.update(mesh, &changes, self.clock.now());
                self.deliver(updates, since);
            }
        }
    }

    fn release(&mut self) {
        let now = self.clock.now();
        if let Some(engine) = &mut self.engine
            && engine.deadline().is_some_and(|deadline| deadline <= now)
        {
            let updates = engine.release(now);
            self.deliver(updates, now);
        }
    }

    fn deliver(&self, updates: Vec<(ProxyId, ProxySets)>, since: Duration) {
        for (id, sets) in updates {
            if let Some(mailbox) = self.mailboxes.get(&id) {
                mailbox.sets(sets, since);
            }
        }
    }

    fn connect(&mut self, connects: Vec<Connect<G>>) {
        let Some(engine) = &mut self.engine else {
            for connect in connects {
                let status = Status::unavailable("not ready: the configuration has not been read yet");
                // A stream that is gone needs no answer.
                let _ = connect.reply.send(Err(status));
            }
            return;
        };
        let proxies = connects.iter().map(|connect| Arc::clone(&connect.proxy)).collect();
        for (connect, result) in connects.into_iter().zip(engine.connect_all(proxies)) {
            let Connect { proxy, mailbox, reply } = connect;
            let connected = result.map_err(Status::from).map(|(id, sets)| {
                self.mailboxes.insert(id, mailbox);
                let (generate, queue) = (Arc::clone(&self.generate), Arc::clone(&self.queue));
                Connected { sets, lease: Box::new(Tenant { id, proxy, generate, queue }) }
            });
            // If the stream is gone, the tenant that comes back is dropped, and so disconnected.
            let _ = reply.send(connected);
        }
    }
}

impl<G: Generate> Drop for Worker<G> {
    fn drop(&mut self) {
        // After a panic of the engine nothing would come any more: clients do better with another control plane.
        let mut inner = self.queue.lock();
        inner.over = true;
        inner.connects.clear();
        inner.asks.clear();
        drop(inner);
        for mailbox in self.mailboxes.values() {
            mailbox.close(Status::unavailable("the control plane is shutting down: connect again"));
        }
    }
}

/// A proxy that the engine knows.
struct Tenant<G: Generate> {
    id: ProxyId,
    proxy: Arc<G::Proxy>,
    generate: Arc<G>,
    queue: Arc<Queue<G>>,
}

impl<G: Generate> Lease for Tenant<G> {
    fn proxy(&self) -> ProxyId {
        self.id
    }

    fn absent(&self, kind: ResourceType, name: &str) -> Option<Bytes> {
        match catch(|| self.generate.absent(&self.proxy, kind, name)) {
            Ok(body) => body,
            Err(message) => {
                tracing::error!(%kind, name, message, "a fault in the answer for a name that does not exist");
                None
            }
        }
    }
}

impl<G: Generate> Drop for Tenant<G> {
    fn drop(&mut self) {
        self.queue.put(|inner| inner.leaving.push(self.id));
    }
}
