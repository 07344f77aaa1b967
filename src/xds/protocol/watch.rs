//! What a client is taken to hold of one type: a shared set, and a short list of names where it differs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::ledger::{Epoch, Ledger, earlier};
use super::order::{Part, Step};
use super::subscription::Subscription;
use crate::encoded::Encoded;
use crate::set::Set;
use crate::version::Version;

/// A name of which the client does not hold what the set has.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    /// Whether the set has the name.
    pub(super) step: Step,
    /// The version that the client holds, if it is known to hold one.
    pub(super) held: Option<Version>,
    /// The resource that the client holds, if it came from this stream.
    pub(super) old: Option<Arc<Encoded>>,
    /// The client asked for it, or waits for it: it goes whatever the client holds.
    pub(super) forced: bool,
    /// The earliest change that the client has not heard of: until then others wait for this.
    pub(super) first: Epoch,
    /// The latest change that touched it: this waits for what belongs to that change.
    pub(super) latest: Epoch,
    /// When the client began to be behind.
    pub(super) since: Duration,
}

impl Owed {
    /// An answer that the client asked for. All changes wait for it, for what asks may be a listener that serves with
    /// its old routes until this comes.
    pub(super) const fn asked(step: Step, held: Option<Version>, latest: Epoch, now: Duration) -> Self {
        Self { step, held, old: None, forced: true, first: 0, latest, since: now }
    }
}

/// A client's subscription to one type, and where the client stands.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) subscription: Subscription,
    /// What the client holds, but for the names in `owed`. `None`: it holds nothing and everything is owed.
    pub(super) base: Option<Arc<Set>>,
    pub(super) owed: BTreeMap<Arc<str>, Owed>,
    /// Whether an answer must go out even if there is nothing in it.
    pub(super) answer_due: bool,
    /// Whether the client came with resources from an earlier stream.
    pub(super) resumed: bool,
    pub(super) ledger: Ledger,
}

impl Watch {
    /// Takes a newer set into account.
    pub(super) fn reckon(&mut self, set: &Arc<Set>, epoch: Epoch, now: Duration) {
        let Some(base) = self.base.take() else { return };
        if !base.is_same(set) {
            let diff = set.diff(&base);
            for resource in &diff.changed {
                if self.subscription.covers(resource.name()) {
                    self.owe_change(resource, set, &base, epoch, now);
                }
            }
            for name in &diff.removed {
                if self.subscription.covers(name) {
                    self.owe_removal(name, &base, epoch, now);
                }
            }
        }
        self.base = Some(Arc::clone(set));
    }

    fn owe_change(&mut self, resource: &Arc<Encoded>, set: &Set, base: &Set, epoch: Epoch, now: Duration) {
        match self.owed.entry(Arc::clone(resource.name())) {
            Entry::Occupied(owed) if !owed.get().forced && owed.get().held == Some(set.version(resource)) => {
                // Back to what the client holds, before it heard of anything else.
                owed.remove();
            }
            Entry::Occupied(mut owed) => {
                let owed = owed.get_mut();
                (owed.step, owed.latest) = (Step::Change, epoch);
            }
            Entry::Vacant(entry) => {
                let old = base.get(resource.name()).cloned();
                let held = old.as_ref().map(|old| base.version(old));
                entry.insert(Owed {
                    step: Step::Change,
                    held,
                    old,
                    forced: false,
                    first: epoch,
                    latest: epoch,
                    since: now,
                });
            }
        }
    }

    fn owe_removal(&mut self, name: &Arc<str>, base: &Set, epoch: Epoch, now: Duration) {
        match self.owed.entry(Arc::clone(name)) {
            Entry::Occupied(owed) if owed.get().held.is_none() && !owed.get().forced => {
                // It came and went, and the client never heard of it.
                owed.remove();
            }
            Entry::Occupied(mut owed) => {
                let owed = owed.get_mut();
                (owed.step, owed.latest) = (Step::Removal, epoch);
                if !owed.forced {
                    owed.since = now;
                }
            }
            Entry::Vacant(entry) => {
                let old = base.get(name).cloned();
                let held = old.as_ref().map(|old| base.version(old));
                entry.insert(Owed {
                    step: Step::Removal,
                    held,
                    old,
                    forced: false,
                    first: epoch,
                    latest: epoch,
                    since: now,
                });
            }
        }
    }

    /// Owes the client an answer for this name, whatever it holds.
    pub(super) fn owe_answer(
        &mut self,
        name: &Arc<str>,
        held: Option<Version>,
        set: &Set,
        (latest, now): (Epoch, Duration),
    ) {
        let step = if set.get(name).is_some() { Step::Change } else { Step::Removal };
        let owed = self.owed.entry(Arc::clone(name)).or_insert_with(|| Owed::asked(step, held, latest, now));
        (owed.forced, owed.first, owed.latest, owed.step) = (true, 0, latest, step);
    }

    /// Owes the client the resources of these names that it is already taken to hold: what names them has changed.
    pub(super) fn owe_again(&mut self, names: impl IntoIterator<Item = Arc<str>>, at: (Epoch, Duration)) {
        let Some(set) = self.base.clone() else { return };
        for name in names {
            if self.subscription.covers(&name) {
                self.owe_answer(&name, None, &set, at);
            }
        }
    }

    /// Forgets names that the client dropped.
    pub(super) fn forget_unwanted(&mut self) {
        let subscription = &self.subscription;
        self.owed.retain(|name, _| subscription.covers(name));
    }

    /// The earliest change of which this part is not yet sent and answered; `None` if all is.
    pub(super) fn pending(&self, part: Part) -> Option<Epoch> {
        let unanswered = self.ledger.unanswered();
        let owed = |step| {
            let of_step = self.owed.values().filter(|owed| owed.step == step);
            of_step.map(|owed| owed.first).min()
        };
        let whole = (self.base.is_none()).then_some(0);
        let changes = || earlier(whole, earlier(unanswered.changes, owed(Step::Change)));
        let removals = || earlier(unanswered.removals, owed(Step::Removal));
        match part {
            Part::Changes => changes(),
            Part::Removals => removals(),
            Part::Everything => earlier(self.ledger.rejected(), earlier(changes(), removals())),
        }
    }
}
