//! One replica's way to a lock and with it: ask, wait, take, renew, give up.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Error, ResourceExt};
use sources::kube::{Change, Following, Selection, jittered};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::elector::{Elector, Standing};
use super::leaders::Leaders;
use super::record::{Keeper, Record};
use super::{Candidate, Election, GRACE, Lock};
use crate::write::{Write, WriteError, Writer};

/// How often a lock is read that may not be watched: one given back is taken within this time.
const LOOK: Duration = Duration::from_secs(2);

/// How soon a lock is read again after it turned out to be another one than the one that was seen.
const SOON: Duration = Duration::from_millis(100);

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Renewals that fail are tried again after a lease's share of this.
const TRIES_A_LEASE: u32 = 16;

/// The holder of a record that cannot be read.
const UNREADABLE: &str = "(a record that cannot be read)";

/// Why a replica no longer leads.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It is to stop, or its work ended.
    Stopped,
    /// Somebody else has the lock.
    Taken,
    /// It could not be renewed in time.
    NotRenewed,
}

/// Everything about one lock.
pub(crate) struct Campaign<K> {
    api: Api<K>,
    candidate: Arc<Candidate>,
    name: String,
    elector: Elector,
    default_revision: watch::Receiver<Option<String>>,
    leaders: Leaders,
    writer: Writer,
    /// The object as it was last seen, if what was seen since did not prove it old.
    object: Option<K>,
    /// Tells when another replica changes it.
    changes: Option<Following<K>>,
}

impl<K: Keeper> Campaign<K> {
    pub(crate) fn new(
        election: &Election,
        lock: &Lock,
        name: String,
        default_revision: watch::Receiver<Option<String>>,
    ) -> Self {
        let (candidate, connection) = (Arc::clone(&election.candidate), &election.connection);
        let api = Api::<K>::namespaced(connection.client().clone(), &candidate.namespace);
        let changes = K::WATCHED.then(|| {
            let what = format!("{} {}/{name}", K::plural(&()), candidate.namespace);
            connection.follow(&what, api.clone(), &Selection::named(&name), std::convert::identity)
        });
        Self {
            api,
            elector: Elector::new(&candidate, !lock.per_revision),
            candidate,
            name,
            default_revision,
            leaders: election.leaders.clone(),
            writer: election.writers.of("election"),
            object: None,
            changes,
        }
    }

    /// Does the work whenever it leads, until `stop` or the end of the work.
    pub(crate) async fn run<W, F>(mut self, stop: &CancellationToken, work: &mut W)
    where
        W: FnMut(CancellationToken) -> F,
        F: Future<Output = ()>,
    {
        loop {
            let renewed = tokio::select! {
                renewed = self.acquire() => renewed,
                () = stop.cancelled() => return,
            };
            self.leaders.leads(&self.name, &self.candidate.identity);
            let ended = self.lead(renewed, stop, work).await;
            match ended {
                Ended::Stopped => {
                    self.release().await;
                    return;
                }
                Ended::Taken => tracing::info!(lock = self.name, "another replica has taken the lock"),
                Ended::NotRenewed => {
                    tracing::warn!(
                        lock = self.name,
                        "the lock could not be renewed: this replica no longer leads"
                    );
                }
            }
            let holder = self.elector.record().holder_identity;
            self.leaders.follows(&self.name, if holder == *self.candidate.identity { "" } else { &holder });
        }
    }

    /// Waits until the lock is this replica's; when the request that made it so was begun.
    async fn acquire(&mut self) -> Instant {
        loop {
            let wait = match self.attempt().await {
                Ok(Ok(since)) => return since,
                Ok(Err(held)) => held.saturating_duration_since(Instant::now()),
                // Somebody else was quicker; who it was is read at once.
                Err(WriteError::Conflict | WriteError::Exists) => jittered(SOON),
                Err(_) => jittered(self.candidate.timing.retry),
            };
            // A lock that is not watched has to be read again.
            let look = if self.changes.is_some() { wait } else { wait.min(LOOK) };
            tokio::select! {
                () = sleep(look) => if self.changes.is_none() { self.object = None },
                () = changed(&mut self.changes, &mut self.object) => {}
                // Without a sender nothing ever changes.
                () = async { if self.default_revision.changed().await.is_err() { std::future::pending().await } } => {}
            }
        }
    }

    /// Takes the lock if it is free: since when it is held, or until when another may hold it.
    async fn attempt(&mut self) -> Result<Result<Instant, Instant>, WriteError> {
        if self.object.is_none() {
            self.object = self.read().await?;
        }
        if let Some(object) = &self.object {
            self.elector.see(recorded(&self.name, object), Instant::now());
            let default_revision = self.default_revision.borrow_and_update().clone();
            if let Standing::Held(until) = self.elector.standing(default_revision.as_deref(), Instant::now())
            {
                self.leaders.follows(&self.name, &self.elector.record().holder_identity);
                return Ok(Err(until));
            }
        }
        self.claim().await.map(Ok)
    }

    /// Writes that the lock is this replica's; when that was begun. The server refuses if it is another object by now
    /// than the one that was seen.
    async fn claim(&mut self) -> Result<Instant, WriteError> {
        let began = Instant::now();
        let record = self.elector.claim(Timestamp::now());
        self.put(&record).await?;
        self.elector.see(record, began);
        Ok(began)
    }

    /// Does the work until the lock is another's, cannot be renewed, or is not wanted any more.
    async fn lead<W, F>(&mut self, renewed: Instant, stop: &CancellationToken, work: &mut W) -> Ended
    where
        W: FnMut(CancellationToken) -> F,
        F: Future<Output = ()>,
    {
        let leading = CancellationToken::new();
        let mut work = pin!(work(leading.clone()));
        let ended = tokio::select! {
            () = &mut work => return Ended::Stopped,
            () = stop.cancelled() => Ended::Stopped,
            ended = self.hold(renewed) => ended,
        };
        leading.cancel();
        if timeout(GRACE, work).await.is_err() {
            tracing::warn!(
                lock = self.name,
                "work that is no longer this replica's did not end and is dropped"
            );
        }
        ended
    }

    /// Renews until that fails for too long.
    async fn hold(&mut self, renewed: Instant) -> Ended {
        let timing = self.candidate.timing;
        let mut next = renewed + timing.retry;
        // Then there is still time left for the work to end before another replica may begin.
        let mut deadline = next + timing.renew;
        loop {
            tokio::select! {
                () = sleep_until(next.into()) => {}
                () = changed(&mut self.changes, &mut self.object) => {
                    // What is told may be older than what this replica wrote since: the lock itself decides.
                    if self.taken() {
                        self.object = None;
                        next = Instant::now();
                    }
                    continue;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.renew()).await {
                Ok(Ok(Some(renewed))) => {
                    next = renewed + timing.retry;
                    deadline = next + timing.renew;
                }
                Ok(Ok(None)) => return Ended::Taken,
                Err(_) => return Ended::NotRenewed,
                Ok(Err(_)) => next = Instant::now() + timing.lease / TRIES_A_LEASE,
            }
            if deadline <= Instant::now() {
                return Ended::NotRenewed;
            }
        }
    }

    /// Renews once; none if the lock is another's.
    async fn renew(&mut self) -> Result<Option<Instant>, WriteError> {
        if self.object.is_none() {
            self.object = self.read().await?;
        }
        if self.taken() {
            return Ok(None);
        }
        self.claim().await.map(Some)
    }

    /// Whether what was last seen is another's.
    fn taken(&mut self) -> bool {
        let Some(object) = &self.object else { return false };
        let record = recorded(&self.name, object);
        let taken = record.holder_identity != *self.candidate.identity;
        if taken {
            self.elector.see(record, Instant::now());
        }
        taken
    }

    /// Gives the lock back. That it cannot be is no harm: it is over by itself after a lease.
    async fn release(&mut self) {
        let mut done = self.give_back().await;
        if let Err(WriteError::Conflict | WriteError::Exists) = done {
            // What was known of it was old.
            done = self.give_back().await;
        }
        match done {
            Ok(()) => self.leaders.follows(&self.name, ""),
            Err(error) => tracing::warn!(lock = self.name, %error, "the lock could not be given back"),
        }
    }

    async fn give_back(&mut self) -> Result<(), WriteError> {
        if self.object.is_none() {
            self.object = self.read().await?;
        }
        if self.object.is_none() || self.taken() {
            return Ok(());
        }
        let record = self.elector.release(Timestamp::now());
        self.put(&record).await
    }

    /// The lock's object; none if there is none.
    async fn read(&self) -> Result<Option<K>, WriteError> {
        self.once(self.about("get"), self.api.get_opt(&self.name)).await
    }

    /// Writes a record into the object that was seen, or into a new one.
    async fn put(&mut self, record: &Record) -> Result<(), WriteError> {
        let post = PostParams::default();
        let seen = self.object.take();
        let verb = if seen.is_some() { "update" } else { "create" };
        let mut object = seen.unwrap_or_else(|| K::new(&self.candidate.namespace, &self.name));
        object.set_record(record);
        self.writer.permit().await;
        let written = if verb == "update" {
            self.once(self.about(verb), self.api.replace(&self.name, &post, &object)).await
        } else {
            self.once(self.about(verb), self.api.create(&post, &object)).await
        }?;
        self.object = Some(written);
        Ok(())
    }

    /// One try: what is to be done next after a failure is not the same again.
    async fn once<T>(
        &self,
        what: Write,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        let done = match timeout(PATIENCE, request).await {
            Ok(done) => done,
            Err(_) => Err(Error::Service(format!("no answer within {PATIENCE:?}").into())),
        };
        self.writer.outcome(&what, done)
    }

    fn about(&self, verb: &'static str) -> Write {
        Write::new(verb, &K::plural(&()), &self.candidate.namespace, &self.name)
    }
}

/// What an object says; what cannot be read is taken for another holder's, whose time is over after a lease.
fn recorded<K: Keeper>(lock: &str, object: &K) -> Record {
    object.record().unwrap_or_else(|error| {
        tracing::warn!(lock, error, "the lock's record cannot be read; it is replaced when a lease is over");
        Record { holder_identity: UNREADABLE.to_owned(), ..Record::default() }
    })
}

/// Waits for another form of a lock's object than the one that is known, and takes it.
async fn changed<K: Keeper>(changes: &mut Option<Following<K>>, object: &mut Option<K>) {
    let Some(following) = changes else { return std::future::pending().await };
    loop {
        let now = match following.next().await {
            Some(Change::Listed(objects)) => objects.into_iter().next(),
            Some(Change::Applied(now)) => Some(now),
            Some(Change::Deleted(_) | Change::Absent) => None,
            // Polled from now on.
            None => {
                *changes = None;
                return;
            }
        };
        let version = |object: &Option<K>| object.as_ref().and_then(ResourceExt::resource_version);
        let (told, known) = (version(&now), version(object));
        // Versions are numbers, though no client was to rely on it before Kubernetes 1.35.
        let number = |version: &Option<String>| version.as_ref().and_then(|v| v.parse::<u128>().ok());
        let old = matches!((number(&told), number(&known)), (Some(told), Some(known)) if told < known);
        if told != known && !old {
            *object = now;
            return;
        }
    }
}
