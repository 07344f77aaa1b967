//! What each of the other replicas has told, and which are left out because they do not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::ObjectKey;
use debug::Spreads;
use xds::spread::Spread;

use super::ask::Failure;
use super::who::Peer;

/// The replicas that are asked.
#[derive(Default)]
pub(super) struct Ledger {
    peers: BTreeMap<Peer, Entry>,
}

struct Entry {
    /// When it last answered; before that, since when it is known.
    heard: Instant,
    /// What it told, for as long as that counts.
    spreads: Option<Spreads>,
    /// Whether the last question was answered; none before the first.
    outcome: Option<Result<(), String>>,
    /// It does not count, and that was said.
    left_out: bool,
}

impl Ledger {
    /// Takes up those that are new and drops those that are gone.
    pub(super) fn keep(&mut self, known: &BTreeSet<Peer>, now: Instant) {
        self.peers.retain(|peer, _| known.contains(peer));
        for peer in known {
            self.peers.entry(peer.clone()).or_insert_with(|| Entry {
                heard: now,
                spreads: None,
                outcome: None,
                left_out: false,
            });
        }
    }

    /// Those to be asked now: all if it is time to ask `again`, else those that have never answered or failed.
    pub(super) fn to_ask(&self, again: bool) -> Vec<Peer> {
        let due = self.peers.iter().filter(|(_, entry)| again || entry.outcome.is_none());
        due.map(|(peer, _)| peer.clone()).collect()
    }

    /// Takes an answer; whether the replica was left out until now.
    pub(super) fn answered(
        &mut self,
        peer: &Peer,
        spreads: BTreeMap<ObjectKey, Spread>,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.peers.get_mut(peer) else { return false };
        if entry.spreads.as_deref() != Some(&spreads) {
            entry.spreads = Some(Arc::new(spreads));
        }
        (entry.heard, entry.outcome) = (now, Some(Ok(())));
        std::mem::take(&mut entry.left_out)
    }

    /// Takes that a replica could not be asked. One whose process has ended has no proxies.
    pub(super) fn failed(&mut self, peer: &Peer, failure: Failure) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        if failure.ended {
            entry.spreads = None;
        }
        entry.outcome = Some(Err(failure.text));
    }

    /// Leaves out those that have not answered for as long as `patience`; which of them counted until now, and why they do
    /// not answer.
    pub(super) fn leave_out(&mut self, now: Instant, patience: Duration) -> Vec<(Peer, String)> {
        let mut out = Vec::new();
        for (peer, entry) in &mut self.peers {
            let Some(Err(failure)) = &entry.outcome else { continue };
            if !entry.left_out && now.duration_since(entry.heard) >= patience {
                entry.left_out = true;
                entry.spreads = None;
                out.push((peer.clone(), failure.clone()));
            }
        }
        out
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether each has been asked once at least.
    pub(super) fn settled(&self) -> bool {
        self.peers.values().all(|entry| entry.outcome.is_some())
    }

    /// What they have told.
    pub(super) fn spreads(&self) -> impl Iterator<Item = &Spreads> {
        self.peers.values().filter_map(|entry| entry.spreads.as_ref())
    }

    /// How many count.
    pub(super) fn counted(&self) -> usize {
        self.spreads().count()
    }

    /// How many are left out.
    pub(super) fn left_out(&self) -> usize {
        self.peers.values().filter(|entry| entry.left_out).count()
    }
}
