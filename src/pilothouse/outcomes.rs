//! What became of each object: what was found wrong with it, and how far it has come with the connected proxies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{ObjectKey, ObjectRef};
use controllers::status::{Outcome, Outcomes, Progress};
use tokio::sync::watch;
use xds::server::{Clients, EngineHandle, spread_now};
use xds::spread::{Refusal, Spread};

use crate::reports::{Reports, has_status};
use crate::translator::Translator;

/// Time between two counts of proxies, at least.
const COUNT_AGAIN: Duration = Duration::from_secs(2);

/// The time for a count is at most this part of the time between two.
const SHARE: u32 = 50;

/// Puts together what became of objects, for whoever writes it down.
pub(crate) struct Gatherer {
    clients: Clients,
    sender: watch::Sender<Outcomes>,
    /// The revision of the reports that the last outcomes tell of.
    revision: Option<u64>,
    /// The objects at the last look: what is found of one that is new since then may not be all.
    seen: BTreeMap<ObjectKey, (i64, String)>,
    spreads: BTreeMap<ObjectKey, Spread>,
    count_next: Instant,
}

impl Gatherer {
    /// Of the proxies among `clients`.
    pub(crate) fn new(clients: Clients) -> Self {
        Self {
            clients,
            sender: watch::Sender::default(),
            revision: None,
            seen: BTreeMap::new(),
            spreads: BTreeMap::new(),
            count_next: Instant::now(),
        }
    }

    /// Where outcomes come. Nothing is put together while nobody asks.
    pub(crate) fn sender(&self) -> watch::Sender<Outcomes> {
        self.sender.clone()
    }

    /// Looks at how things are now.
    pub(crate) async fn look(&mut self, reports: &Reports, engine: &EngineHandle<Translator>) {
        if self.sender.receiver_count() == 0 {
            self.revision = None;
            return;
        }
        let counted = self.count(engine).await;
        let revision = reports.revision();
        if !counted && self.revision == Some(revision) {
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

    /// Counts proxies, if it is time to; whether anything is another than before.
    async fn count(&mut self, engine: &EngineHandle<Translator>) -> bool {
        let began = Instant::now();
        if began < self.count_next {
            return false;
        }
        let counts = |source: &ObjectRef| has_status(source.key.kind);
        let Some(now) = spread_now(engine, &self.clients, counts).await else { return false };
        self.count_next = Instant::now() + COUNT_AGAIN.max(began.elapsed() * SHARE);
        let changed = now != self.spreads;
        self.spreads = now;
        changed
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
