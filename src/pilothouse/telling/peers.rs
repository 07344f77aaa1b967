//! The other replicas, which whoever writes status asks for the counts of their proxies.
//!
//! ```text
//!   who      which pods they are: pure
//!   ledger   what each has told, and which are left out: pure
//!   ask      one question, over HTTP
//!   proofs   how replicas know each other
//! ```

mod ask;
mod ledger;
mod proofs;
#[cfg(test)]
mod tests;
mod who;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use debug::{SPREADZ, Spreads};
use model::Mesh;
use prometheus::{IntCounter, IntGaugeVec, Opts, Registry};
use tokio::task::JoinSet;

use ask::Answer;
pub(crate) use ask::page;
use ledger::Ledger;
pub(crate) use proofs::Proofs;
use who::Peer;
use who::others;
pub(crate) use who::{Known, Replica, of_all_revisions, port};

/// How long the last answer of a replica counts that cannot be asked; after this it is left out.
const PATIENCE: Duration = Duration::from_secs(10);

/// The other replicas, as far as they have answered.
pub(crate) struct Peers {
    own: Replica,
    mesh: Arc<ArcSwap<Mesh>>,
    proofs: Proofs,
    ledger: Ledger,
    /// The questions of one round; the next round waits for their end.
    asking: JoinSet<(Peer, Answer)>,
    /// It is time for the next round.
    due: bool,
    /// Since when there are others that cannot be asked for want of the root's key.
    keyless: Option<Instant>,
    /// It was said that the own pod is not known.
    unknown: bool,
    metrics: Metrics,
}

struct Metrics {
    failed: IntCounter,
    replicas: IntGaugeVec,
}

impl Metrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let failed = IntCounter::new(
            "pilothouse_peer_counts_failed_total",
            "Times another replica could not be asked for the counts of its proxies.",
        )?;
        let replicas = Opts::new(
            "pilothouse_peers",
            "Other replicas by whether their proxies count in the status of objects; on the replica that writes it.",
        );
        let replicas = IntGaugeVec::new(replicas, &["state"])?;
        registry.register(Box::new(failed.clone()))?;
        registry.register(Box::new(replicas.clone()))?;
        Ok(Self { failed, replicas })
    }

    fn show(&self, ledger: &Ledger) {
        for (state, count) in [("counted", ledger.counted()), ("left_out", ledger.left_out())] {
            self.replicas.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl Peers {
    /// Those of the replica `own`, found among the pods of `mesh`.
    ///
    /// # Errors
    /// The name of a metric is taken.
    pub(crate) fn new(
        own: Replica,
        mesh: Arc<ArcSwap<Mesh>>,
        proofs: Proofs,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            own,
            mesh,
            proofs,
            ledger: Ledger::default(),
            asking: JoinSet::new(),
            due: false,
            keyless: None,
            unknown: false,
            metrics: Metrics::register(registry)?,
        })
    }

    /// Takes in what came since the last look, and asks those that were not asked yet; all of them if it is time to ask
    /// `again`. Waits for nobody.
    pub(crate) fn look(&mut self, again: bool, now: Instant) {
        while let Some(done) = self.asking.try_join_next() {
            // A panic has been told; that replica is asked again in the next round.
            let Ok((peer, answer)) = done else { continue };
            self.take(&peer, answer, now);
        }
        let others = self.others();
        self.ledger.keep(&others, now);
        for (peer, failure) in self.ledger.leave_out(now, PATIENCE) {
            tracing::warn!(
                replica = %peer.name, address = %peer.address, failure,
                "another replica does not tell how many of its proxies have what: the status of objects leaves them out"
            );
        }
        self.due |= again;
        self.ask(now);
        self.metrics.show(&self.ledger);
    }

    /// Whether all have been asked, so that what they tell is whole.
    pub(crate) fn settled(&self, now: Instant) -> bool {
        let keyless = self.keyless.is_some_and(|since| now.duration_since(since) >= PATIENCE);
        keyless || self.ledger.settled()
    }

    /// What counts of each that counts; the same allocation for as long as nothing differs.
    pub(crate) fn spreads(&self) -> impl Iterator<Item = &Spreads> {
        self.ledger.spreads()
    }

    /// Forgets what was told: another replica asks from now on.
    pub(crate) fn forget(&mut self) {
        self.ledger = Ledger::default();
        self.asking = JoinSet::new();
        self.keyless = None;
        self.metrics.show(&self.ledger);
    }

    fn take(&mut self, peer: &Peer, answer: Answer, now: Instant) {
        match answer {
            Ok(spreads) => {
                if self.ledger.answered(peer, spreads, now) {
                    tracing::info!(replica = %peer.name, "tells again how many of its proxies have what");
                }
            }
            Err(failure) => {
                self.metrics.failed.inc();
                self.ledger.failed(peer, failure);
            }
        }
    }

    fn others(&mut self) -> Known {
        let found = others(&self.mesh.load(), &self.own);
        if found.is_none() && !self.unknown {
            self.unknown = true;
            tracing::info!(
                pod = %self.own.name, namespace = %self.own.namespace,
                "its own pod is not among those that are read, or has no label app: the status of objects counts the proxies \
                 of this replica only"
            );
        }
        found.unwrap_or_default()
    }

    fn ask(&mut self, now: Instant) {
        if !self.asking.is_empty() {
            return;
        }
        let again = std::mem::take(&mut self.due);
        if self.ledger.is_empty() {
            self.keyless = None;
            return;
        }
        let Some(proof) = self.proofs.make(SPREADZ) else {
            let since = *self.keyless.get_or_insert(now);
            if now.duration_since(since) >= PATIENCE {
                self.proofs.tell_missing();
            }
            return;
        };
        self.keyless = None;
        for peer in self.ledger.to_ask(again) {
            let proof = proof.clone();
            self.asking.spawn(async move {
                let answer = ask::ask(peer.address, &proof).await;
                (peer, answer)
            });
        }
    }
}
