//! What became of each object: what was found wrong with it, and how far it has come with the connected proxies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use api::ObjectKey;
use controllers::status::{Outcome, Outcomes, Progress};
use debug::Spreads;
use tokio::sync::watch;
use xds::spread::{Refusal, Spread, merge};

use crate::telling::counts::Counts;
use crate::telling::peers::Peers;
use crate::telling::reports::Reports;

/// Puts together what became of objects, for whoever writes it down.
pub(crate) struct Gatherer {
    counts: Counts,
    peers: Peers,
    sender: watch::Sender<Outcomes>,
    /// The revision of the reports that the last outcomes tell of.
    revision: Option<u64>,
    /// The objects at the last look: what is found of one that is new since then may not be all.
    seen: BTreeMap<ObjectKey, (i64, String)>,
    /// When the proxies of this replica were last counted.
    counted: Option<Instant>,
    /// The counts of this replica and of the others.
    parts: Vec<Spreads>,
    /// All of them as one.
    spreads: Spreads,
}

impl Gatherer {
    /// Of the proxies of this replica and of the others.
    pub(crate) fn new(counts: Counts, peers: Peers) -> Self {
        Self {
            counts,
            peers,
            sender: watch::Sender::default(),
            revision: None,
            seen: BTreeMap::new(),
            counted: None,
            parts: Vec::new(),
            spreads: Spreads::default(),
        }
    }

    /// Where outcomes come. Nothing is put together while nobody asks.
    pub(crate) fn sender(&self) -> watch::Sender<Outcomes> {
        self.sender.clone()
    }

    /// Looks at how things are now.
    pub(crate) async fn look(&mut self, reports: &Reports) {
        if self.sender.receiver_count() == 0 {
            self.revision = None;
            self.peers.forget();
            return;
        }
        // Half a count would be written, and be wrong, until the rest is there.
        let Some(changed) = self.count().await else { return };
        let revision = reports.revision();
        if !changed && self.revision == Some(revision) {
            return;
        }
        let found = reports.findings();
        let mut complete = true;
        let mut outcomes = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for (key, (subject, findings)) in found {
            let form = (subject.generation, subject.uid.clone());
            if self.seen.get(&key) == Some(&form) {
                let outcome = Outcome {
                    generation: subject.generation,
                    uid: subject.uid,
                    conditions: subject.conditions,
                    invalid: findings.invalid,
                    unserved: findings.unserved,
                    warnings: findings.warnings,
                    progress: self.spreads.get(&key).map(progress),
                };
                outcomes.insert(key.clone(), outcome);
            } else {
                complete = false;
            }
            seen.insert(key, form);
        }
        self.seen = seen;
        self.revision = complete.then_some(revision);
        self.sender.send_replace(Arc::new(outcomes));
    }

    /// Counts the proxies of all replicas; whether anything is another than before. None while not all is known.
    async fn count(&mut self) -> Option<bool> {
        let own = self.counts.now().await?;
        let now = Instant::now();
        let again = self.counted.replace(own.at) != Some(own.at);
        self.peers.look(again, now);
        if !self.peers.settled(now) {
            return None;
        }
        let parts: Vec<Spreads> = [&own.spreads].into_iter().chain(self.peers.spreads()).cloned().collect();
        if parts.len() == self.parts.len() && parts.iter().zip(&self.parts).all(|(a, b)| Arc::ptr_eq(a, b)) {
            return Some(false);
        }
        let spreads = match parts.as_slice() {
            [own] => Arc::clone(own),
            all => Arc::new(merge(all.iter().map(|part| &**part))),
        };
        self.parts = parts;
        let changed = spreads != self.spreads;
        self.spreads = spreads;
        Some(changed)
    }
}

fn progress(spread: &Spread) -> Progress {
    Progress {
        generation: spread.generation,
        needed: spread.needed,
        accepted: spread.accepted,
        refused: spread.refused,
        refusal: spread.refusal.as_ref().map(words),
    }
}

/// A refusal for people.
fn words(refusal: &Refusal) -> String {
    let Refusal { proxy, kind, among, words } = refusal;
    match among {
        0 | 1 => format!("{proxy}: {words}"),
        _ => format!("{proxy} says of one of {among} resources of type {kind} that came together: {words}"),
    }
}
