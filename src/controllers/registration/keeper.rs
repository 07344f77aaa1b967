//! Writes what is told of workloads, and takes away what nobody came back for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use api::decode::AnyObject;
use api::{Kind, ObjectKey};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use sources::feed::Feed;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::Registrar;
use super::marks::{self, Annotations};
use super::objects::HEALTHY;
use super::workload::Key;
use crate::queue::{Queue, Urgency, until};
use crate::write::WriteError;

/// Entries that are written to at the same time.
const TOGETHER: usize = 8;

/// All entries are looked over after so many times of grace.
const SWEEP: u32 = 10;

/// What the keeper has to know of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A WorkloadGroup is there.
    Group,
    /// A WorkloadEntry was connected to some replica.
    Entry {
        /// The annotations that tell of it.
        marks: Annotations,
        /// Whether it is healthy, if that was told.
        healthy: Option<bool>,
    },
}

/// What the keeper reads.
pub fn feed() -> Feed<Known> {
    Feed::new(&[Kind::WorkloadEntry, Kind::WorkloadGroup], |object| match object {
        AnyObject::WorkloadGroup(_) => Some(Known::Group),
        AnyObject::WorkloadEntry(entry) => {
            let names = [marks::GROUP, marks::CONTROLLER, marks::CONNECTED, marks::DISCONNECTED];
            let all = &entry.meta.annotations;
            let marks: Annotations =
                names.iter().filter_map(|n| Some(((*n).to_owned(), all.get(*n)?.clone()))).collect();
            let condition = entry.spec.status.conditions.iter().find(|c| c.r#type == HEALTHY);
            let healthy = condition.map(|c| c.status == "True");
            (!marks.is_empty()).then_some(Known::Entry { marks, healthy })
        }
        _ => None,
    })
}

impl Registrar {
    /// Writes until `stop`.
    pub async fn keep(&self, known: &Feed<Known>, stop: &CancellationToken) {
        tokio::select! {
            () = self.work(known) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn work(&self, known: &Feed<Known>) {
        let mut known = known.read();
        let mut state = State::default();
        state.take(known.next().await, |_, _| {});
        let pause = (self.0.terms.grace * SWEEP).max(Duration::from_millis(100));
        let mut sweep = interval_at((Instant::now() + pause).into(), pause);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            state.fall_due(now);
            while running.len() < TOGETHER
                && let Some(key) = state.queue.next(now)
            {
                let over = state.over.remove(&key);
                running.push(self.look(key, over));
            }
            let due = [state.due.first().map(|(at, _)| *at), state.queue.due()].into_iter().flatten().min();
            tokio::select! {
                changed = self.0.book.changed() => {
                    changed.iter().for_each(|key| state.queue.add(key, Urgency::Now));
                }
                news = known.next() => {
                    let heard = |key: &Key, healthy| self.0.book.heard(key, healthy);
                    for group in state.take(news, heard) {
                        self.0.book.again(&group.namespace, &group.name);
                    }
                }
                Some((key, done)) = running.next() => state.looked(&key, done),
                _ = sweep.tick() => state.sweep(self.limits()),
                () = until(due) => {}
            }
        }
    }

    fn limits(&self) -> (Duration, Option<Duration>) {
        (self.0.terms.grace, self.0.terms.max_age)
    }

    /// Writes what is to be written of one entry; `over` if it may be one that nobody came back for.
    async fn look(&self, key: Key, over: bool) -> (Key, Done) {
        let done = self.write(&key, over).await.map_err(|error| (error, over));
        if done.is_err() {
            self.0.entries.metrics.errors.inc();
        }
        (key, done)
    }

    async fn write(&self, key: &Key, over: bool) -> Result<Option<Instant>, WriteError> {
        let (book, entries) = (&self.0.book, &self.0.entries);
        if let Some((workload, since)) = book.take_again(key)
            && let Err(error) = entries.connect(&workload, since, self.rules()).await
        {
            tracing::warn!(proxy = %workload.id, %error, "not registered again");
        }
        if let Some(told) = book.told(key) {
            entries.health(key, &told).await?;
            book.wrote_health(key, &told);
        }
        if let Some(left) = book.left(key) {
            let gone = entries.disconnect(key, &left).await?;
            book.wrote_end(key, &left);
            if gone && left.made {
                entries.metrics.unregister.inc();
            }
            return Ok(gone.then(|| Instant::now() + self.0.terms.grace));
        }
        if over {
            entries.clean(key, self.limits()).await?;
        }
        Ok(None)
    }
}

/// The entry that an object is.
fn named(key: &ObjectKey) -> Key {
    (key.namespace.clone(), key.name.to_string())
}

/// When to look whether somebody came back; or why it failed, and whether that was such a look.
type Done = Result<Option<Instant>, (WriteError, bool)>;

/// What is known, and what is yet to be looked at.
#[derive(Debug)]
struct State {
    groups: BTreeSet<ObjectKey>,
    entries: BTreeMap<ObjectKey, (Annotations, bool)>,
    queue: Queue<Key>,
    /// Entries that are looked at when nobody came back by then.
    due: BTreeSet<(Instant, Key)>,
    /// Those of the queue of which that time has come.
    over: BTreeSet<Key>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            groups: BTreeSet::new(),
            entries: BTreeMap::new(),
            queue: Queue::new(),
            due: BTreeSet::new(),
            over: BTreeSet::new(),
        }
    }
}

impl State {
    /// Takes news of objects; returns groups that are new, and passes on which entries are healthy.
    fn take(
        &mut self,
        news: Vec<(ObjectKey, Option<Known>)>,
        heard: impl Fn(&Key, Option<bool>),
    ) -> Vec<ObjectKey> {
        let mut came = Vec::new();
        for (key, known) in news {
            match (key.kind, known) {
                (Kind::WorkloadGroup, Some(_)) => {
                    if self.groups.insert(key.clone()) {
                        came.push(key);
                    }
                }
                (Kind::WorkloadGroup, None) => drop(self.groups.remove(&key)),
                (_, Some(Known::Entry { marks, healthy })) => {
                    heard(&named(&key), healthy);
                    self.entries.insert(key, (marks, healthy.is_some()));
                }
                (_, _) => drop(self.entries.remove(&key)),
            }
        }
        came
    }

    fn end(&mut self, key: Key, urgency: Urgency) {
        self.queue.add(&key, urgency);
        self.over.insert(key);
    }

    fn fall_due(&mut self, now: Instant) {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.due.pop_first() {
                self.end(key, Urgency::Now);
            }
        }
    }

    /// Looks for entries whose replica ended before it could.
    fn sweep(&mut self, limits: (Duration, Option<Duration>)) {
        let now = Timestamp::now();
        let expired = |(_, (marks, told)): &(&ObjectKey, &(Annotations, bool))| {
            marks::expired(marks, *told, now, limits).is_some()
        };
        let keys: Vec<Key> = self.entries.iter().filter(expired).map(|(key, _)| named(key)).collect();
        keys.into_iter().for_each(|key| self.end(key, Urgency::Backlog));
    }

    fn looked(&mut self, key: &Key, done: Done) {
        match done {
            Ok(again) => {
                self.due.extend(again.map(|at| (at, key.clone())));
                self.queue.done(key);
            }
            Err((_, over)) => {
                if over {
                    self.over.insert(key.clone());
                }
                self.queue.failed(key, Instant::now());
            }
        }
    }
}
