//! One ADS stream: its sets, its watches, and the way from requests to responses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::ledger::{Epoch, Rejection, Reply};
use super::message::{DeltaRequest, Response, SotwRequest, Variant};
use super::order::{Limits, Part, Step};
use super::watch::Watch;
use super::{answer, delta, needs, sotw};
use crate::encoded::Encoded;
use crate::engine::ProxySets;
use crate::kind::ResourceType;
use crate::set::NameTable;

/// Lists of names that several streams subscribe to. Clones share their lists.
#[derive(Clone, Default)]
pub struct NameLists(Arc<NameTable>);

impl NameLists {
    /// Forgets the lists that no stream uses any more.
    pub fn sweep(&self) {
        self.0.sweep();
    }
}

/// What a stream asks of its surroundings; the answers change nothing.
pub trait Context {
    /// The resource that answers for a name that is not in the set; `None` if there is nothing to say.
    fn absent(&self, kind: ResourceType, name: &str) -> Option<Arc<Encoded>>;

    /// Names that were sent to this client on its last stream, and that it may have without saying so.
    fn doubtful(&self, kind: ResourceType) -> Vec<Arc<str>>;

    /// Whether a cluster that needs this assignment has changed lately, so that a client that comes back may wait
    /// for the assignment though it holds it.
    fn changed_lately(&self, assignment: &str) -> bool;
}

/// Something that the operator may want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client accepted a response.
    Acked(ResourceType),
    /// The client refused a response.
    Rejected(ResourceType, Rejection),
    /// A request spoke of a response that is not the latest, and was ignored.
    ExpiredNonce(ResourceType),
    /// Something was sent because it had waited long enough, though what it waited for did not come.
    WaitExpired(ResourceType, Step),
}

/// The protocol state of one ADS stream.
///
/// Feed it requests with [`Stream::delta`] or [`Stream::sotw`], newer sets with [`Stream::update`], and whenever the
/// transport can take a response, ask [`Stream::next`]; if that has nothing, ask again after the next input or at
/// [`Stream::deadline`].
pub struct Stream {
    pub(super) variant: Variant,
    /// What goes before the number in a nonce.
    prefix: String,
    pub(super) sets: ProxySets,
    pub(super) watches: [Option<Watch>; ResourceType::COUNT],
    pub(super) table: Arc<NameTable>,
    pub(super) limits: Limits,
    pub(super) epoch: Epoch,
    nonce: u64,
    pub(super) deadline: Option<Duration>,
    pub(super) waiting: BTreeMap<(ResourceType, Step), &'static str>,
    pub(super) events: Vec<Event>,
}

impl Stream {
    /// A stream of a client for which these sets are meant. `prefix` begins its nonces; with `lists` from another stream
    /// equal subscriptions are one list.
    pub fn new(
        variant: Variant,
        prefix: impl Into<String>,
        sets: ProxySets,
        lists: &NameLists,
        limits: Limits,
    ) -> Self {
        Self {
            variant,
            prefix: prefix.into(),
            sets,
            watches: Default::default(),
            table: Arc::clone(&lists.0),
            limits,
            epoch: 0,
            nonce: 0,
            deadline: None,
            waiting: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Takes a request of the incremental variant.
    pub fn delta(
        &mut self,
        kind: ResourceType,
        request: DeltaRequest,
        now: Duration,
        context: &impl Context,
    ) {
        delta::request(self, kind, request, now, context);
    }

    /// Takes a request of the state of the world variant.
    pub fn sotw(&mut self, kind: ResourceType, request: SotwRequest, now: Duration) {
        sotw::request(self, kind, request, now);
    }

    /// Takes the proxy's newer sets.
    pub fn update(&mut self, sets: ProxySets, now: Duration) {
        self.epoch += 1;
        let epoch = self.epoch;
        for kind in ResourceType::ALL {
            if let Some(watch) = self.watch(kind) {
                watch.reckon(sets.get(kind), epoch, now);
            }
        }
        self.sets = sets;
    }

    /// The response to send now, if any.
    pub fn next(&mut self, now: Duration, context: &impl Context) -> Option<Response> {
        (self.deadline, self.waiting) = (None, BTreeMap::new());
        ResourceType::ALL.into_iter().find_map(|kind| answer::next(self, kind, now, context))
    }

    /// When [`Stream::next`] may have something though no input came; as of its last call.
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Names that the client may have without saying so when it comes back: those of responses that it did not answer,
    /// or refused for other resources. `before`: those that its last stream left, which stay open until it has answered
    /// all that this one has to say.
    pub fn doubtful(&self, kind: ResourceType, before: &[Arc<str>]) -> Vec<Arc<str>> {
        if self.variant != Variant::Delta || !kind.is_wildcard() {
            return Vec::new();
        }
        let Some(watch) = self.watched(kind) else { return before.to_vec() };
        let again = watch.owed.iter().filter(|(_, owed)| owed.forced).map(|(name, _)| name);
        let before = if watch.pending(Part::Everything).is_some() { before } else { &[] };
        let mut names: Vec<_> = watch.ledger.doubtful().chain(again).chain(before).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the client has asked for clusters and assignments and answered all that it is to have of them, so that none
    /// of its clusters waits for an assignment: Envoy answers clusters only when they have warmed (spec/stock-envoy.md
    /// 3.2). A stream that has not heard of both does not know what an earlier one left.
    pub fn is_settled(&self) -> bool {
        let settled = |watch: &Watch| watch.pending(Part::Everything).is_none();
        [ResourceType::Cluster, ResourceType::Endpoints]
            .iter()
            .all(|kind| self.watched(*kind).is_some_and(settled))
    }

    /// The sets that are sent, or on their way.
    pub const fn sets(&self) -> &ProxySets {
        &self.sets
    }

    pub(super) fn watch(&mut self, kind: ResourceType) -> Option<&mut Watch> {
        self.watches.get_mut(kind.index()).and_then(Option::as_mut)
    }

    pub(super) fn watched(&self, kind: ResourceType) -> Option<&Watch> {
        self.watches.get(kind.index()).and_then(Option::as_ref)
    }

    pub(super) fn set_watch(&mut self, kind: ResourceType, watch: Option<Watch>) {
        if let Some(place) = self.watches.get_mut(kind.index()) {
            *place = watch;
        }
    }

    /// Takes down what a request says about an earlier response.
    pub(super) fn reply(
        &mut self,
        kind: ResourceType,
        nonce: &str,
        error: Option<Rejection>,
        now: Duration,
    ) -> Option<Reply> {
        let number = self.number(nonce);
        let event = error.clone().map(|error| Event::Rejected(kind, error));
        let watch = self.watch(kind)?;
        let kept = watch.ledger.take_kept(number, error.is_some());
        let blamed = error.as_ref().map(Rejection::names).unwrap_or_default();
        let reply = watch.ledger.reply(number, error, now);
        self.confirm(kind, &kept, &blamed, now);
        self.events.extend(match reply {
            Reply::Ack => Some(Event::Acked(kind)),
            Reply::Nack => event,
            Reply::Again => None,
            Reply::Stale => Some(Event::ExpiredNonce(kind)),
        });
        Some(reply)
    }

    /// Sends the good part of a response again that was refused for its bad part.
    ///
    /// Envoy has applied it, but does not say that it holds it when it comes back, so it could not be removed then
    /// (spec/stock-envoy.md 3.6). Alone it is acknowledged. Each round is shorter by what is blamed, so this ends.
    fn confirm(&mut self, kind: ResourceType, kept: &[Arc<Encoded>], blamed: &[String], now: Duration) {
        let is_blamed = |resource: &&Arc<Encoded>| blamed.iter().any(|name| **name == **resource.name());
        let found = kept.iter().filter(is_blamed).count();
        if found == 0 || found < blamed.len() {
            return;
        }
        let at = (self.epoch, now);
        let good = kept.iter().filter(|resource| !is_blamed(resource));
        let Some(watch) = self.watch(kind) else { return };
        watch.owe_again(good.map(|resource| Arc::clone(resource.name())), at);
    }

    /// The number in one of this stream's nonces.
    pub(super) fn number(&self, nonce: &str) -> Option<u64> {
        nonce.strip_prefix(&self.prefix)?.strip_prefix('-')?.parse().ok()
    }

    /// A nonce's text.
    pub(super) fn nonce_text(&self, number: u64) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// The number of the next nonce.
    pub(super) const fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    /// The set's own copies of these names, sorted and without duplicates, so that lists of equal names share them.
    pub(super) fn names(&self, kind: ResourceType, names: Vec<String>) -> Vec<Arc<str>> {
        let set = self.sets.get(kind);
        let own = |name: String| match set.get(&name) {
            Some(resource) => Arc::clone(resource.name()),
            None => name.into(),
        };
        let mut names: Vec<_> = names.into_iter().map(own).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Owes the assignments that these clusters will warm on, where the client has asked for them before: it will not
    /// ask again (spec/stock-envoy.md 3.2).
    pub(super) fn follow(&mut self, clusters: &[Arc<Encoded>], now: Duration) {
        let slots = self.sets.get(ResourceType::Cluster).slots().clone();
        let at = (self.epoch, now);
        let Some(watch) = self.watch(ResourceType::Endpoints) else { return };
        watch.owe_again(clusters.iter().filter_map(|cluster| needs::assignment(cluster, &slots)), at);
    }
}

/// The assignments on which these clusters will warm.
pub fn assignments<'c>(
    clusters: impl IntoIterator<Item = &'c Arc<Encoded>>,
    slots: &crate::slot::Slots,
) -> impl Iterator<Item = Arc<str>> {
    clusters.into_iter().filter_map(|cluster| needs::assignment(cluster, slots))
}
