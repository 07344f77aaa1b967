//! Addresses for the hosts of ServiceEntries that have none: sidecars answer DNS with them and tell hosts of one port apart.
//!
//! Source: `shared/spec/kubernetes.md` 2.8, trap 30; Istio `pilot/pkg/controllers/ipallocate/ipallocate.go`,
//! `pilot/pkg/networking/serviceentry/ip_autoallocation.go`.

mod allocator;
mod patch;
mod pool;
#[cfg(test)]
mod tests;

use std::time::Instant;

use api::decode::AnyObject;
use api::istio::ServiceEntryAddress;
use api::mesh_config::MeshConfig;
use api::{Kind, ObjectKey};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ipnet::IpNet;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use model::Ref;
use sources::feed::Feed;
use sources::kube::{Connection, resource};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::discovered::{Discovered, Namespace};
use crate::election::Lock;
use crate::queue::{Queue, Urgency, until};
use crate::write::{Write, WriteError, Writer};
use allocator::{Allocator, Change};

pub use allocator::Entry;

/// ServiceEntries that are written to at the same time.
const TOGETHER: usize = 8;

/// A status that cannot be written is told after so many failures in a row: that it was another than the one that was seen
/// is no fault.
const TOLD_AFTER: u32 = 4;

/// The lock whose holder does this.
pub fn lock() -> Lock {
    Lock::config_map("istio-ip-autoallocate")
}

/// What this controller reads of ServiceEntries.
pub fn feed() -> Feed<Entry> {
    Feed::new(&[Kind::ServiceEntry], |object| match object {
        AnyObject::ServiceEntry(object) => Some(Entry::of(object)),
        _ => None,
    })
}

/// Writes the addresses.
#[derive(Debug)]
pub struct IpAllocator {
    /// The cluster.
    pub connection: Connection,
    /// How it writes.
    pub writer: Writer,
    /// Where IPv4 addresses come from (`PILOT_IP_AUTOALLOCATE_IPV4_PREFIX`).
    pub v4: IpNet,
    /// Where IPv6 addresses come from (`PILOT_IP_AUTOALLOCATE_IPV6_PREFIX`).
    pub v6: IpNet,
    /// The ServiceEntries, from [`feed`].
    pub entries: Feed<Entry>,
    /// The namespaces, from [`crate::discovered::namespaces`].
    pub namespaces: Feed<Namespace>,
    /// The mesh configuration, whose `discoverySelectors` say which namespaces count; none while it is not known.
    pub settings: watch::Receiver<Option<Ref<MeshConfig>>>,
}

/// What a write was to say, and what became of it.
type Done = (ObjectKey, Vec<ServiceEntryAddress>, Result<(), WriteError>);

impl IpAllocator {
    /// Writes what is missing, and takes away what is too much, until `leading` ends.
    pub async fn run(&self, leading: CancellationToken) {
        tokio::select! {
            () = self.work() => {}
            () = leading.cancelled() => {}
        }
    }

    async fn work(&self) {
        let (mut entries, mut namespaces) = (self.entries.read(), self.namespaces.read());
        let mut settings = self.settings.clone();
        let mut state = State::new(Allocator::new(self.v4, self.v6));
        let selectors = |settings: &mut watch::Receiver<Option<Ref<MeshConfig>>>| {
            settings.borrow_and_update().as_ref().map(|mesh| mesh.discovery_selectors.clone())
        };
        state.discovered.select(selectors(&mut settings));
        // Nothing is handed out before it is known what is in use.
        state.discovered.take(&namespaces.next().await);
        state.entries(entries.next().await, Urgency::Backlog);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < TOGETHER
                && let Some((key, change)) = state.next(Instant::now())
            {
                running.push(self.write(key, change));
            }
            let due = state.queue.due();
            tokio::select! {
                news = entries.next() => state.entries(news, Urgency::Now),
                news = namespaces.next() => {
                    state.discovered.take(&news);
                    state.look_at_all();
                }
                Ok(()) = settings.changed() => {
                    if state.discovered.select(selectors(&mut settings)) {
                        state.look_at_all();
                    }
                }
                Some(done) = running.next() => self.written(&mut state, done),
                () = until(due) => {}
            }
        }
    }

    /// Writes a status, unless it is another than the one that was seen.
    async fn write(&self, key: ObjectKey, change: Change) -> Done {
        let client = self.connection.client().clone();
        let api = Api::<DynamicObject>::namespaced_with(client, &key.namespace, &resource(key.kind));
        let what = about(&key);
        let mut done = Err(WriteError::Conflict);
        for patch in patch::forms(&change) {
            let (patch, params) = (Patch::<()>::Json(patch), PatchParams::default());
            let request = || api.patch_status(&key.name, &params, &patch);
            done = self.writer.write(&what, request).await.map(drop);
            if !matches!(done, Err(WriteError::Refused(_) | WriteError::Conflict)) {
                break;
            }
        }
        (key, change.wanted, done)
    }

    fn written(&self, state: &mut State, (key, wanted, done): Done) {
        match done {
            Ok(()) => state.settled(&key, wanted),
            Err(WriteError::Gone) => {
                state.allocator.free(&key);
                state.queue.done(&key);
            }
            Err(error) => {
                state.allocator.free(&key);
                state.queue.failed(&key, Instant::now());
                if state.queue.failures(&key) >= TOLD_AFTER {
                    self.writer.tell(&about(&key), &error);
                }
            }
        }
    }
}

fn about(key: &ObjectKey) -> Write {
    Write::new("patch", "serviceentries/status", &key.namespace, &key.name)
}

/// What is known, and what is yet to be looked at.
#[derive(Debug)]
struct State {
    allocator: Allocator,
    discovered: Discovered,
    queue: Queue<ObjectKey>,
}

impl State {
    fn new(allocator: Allocator) -> Self {
        Self { allocator, discovered: Discovered::default(), queue: Queue::new() }
    }

    fn entries(&mut self, news: Vec<(ObjectKey, Option<Entry>)>, urgency: Urgency) {
        for (key, entry) in news {
            for concerned in self.allocator.set(&key, entry) {
                self.queue.add(&concerned, urgency);
            }
        }
    }

    fn look_at_all(&mut self) {
        for key in self.allocator.keys() {
            self.queue.add(key, Urgency::Backlog);
        }
    }

    fn next(&mut self, now: Instant) -> Option<(ObjectKey, Change)> {
        loop {
            let key = self.queue.next(now)?;
            let change =
                if self.discovered.counts(&key.namespace) { self.allocator.change(&key) } else { None };
            match change {
                Some(change) => return Some((key, change)),
                None => self.queue.done(&key),
            }
        }
    }

    fn settled(&mut self, key: &ObjectKey, wanted: Vec<ServiceEntryAddress>) {
        for concerned in self.allocator.written(key, wanted) {
            if concerned != *key {
                self.queue.add(&concerned, Urgency::Now);
            }
        }
        self.queue.done(key);
    }
}
