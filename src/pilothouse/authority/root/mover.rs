//! Takes a replacement of the root from stage to stage, on one replica: when the proxies of all replicas have confirmed, and
//! when what the old root signed has ended. Of a plugged-in authority only how far it has come is told ([`super::staged`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use arc_swap::ArcSwap;
use ca::{Confirmed, Kept, Pace, Replacement};
use controllers::expiring::Warnings;
use debug::{ROOTZ, RootPage};
use model::Mesh;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::progress::{Progress, Replacing, confirmed};
use super::staged::Staged;
use super::store::Store;
use crate::telling::peers::{self, Proofs, Replica};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Moves replacements.
pub(crate) struct Mover {
    pub(super) store: Arc<Store>,
    pub(super) progress: Progress,
    pub(super) pace: Pace,
    pub(super) others: Others,
    /// What is to be told of a plugged-in authority.
    pub(super) early: Arc<watch::Sender<Warnings>>,
}

/// The other replicas.
pub(crate) struct Others {
    /// This one.
    pub(crate) own: Replica,
    /// Among whose pods the others are.
    pub(crate) mesh: Arc<ArcSwap<Mesh>>,
    /// How replicas know each other.
    pub(crate) proofs: Proofs,
    /// Whether this process runs in a pod: then its pod is known, sooner or later, and with it the others.
    pub(crate) in_pod: bool,
}

impl Mover {
    /// Looks again and again, until `leading` ends.
    pub(crate) async fn run(&self, leading: CancellationToken) {
        let mut pace = interval(LOOK);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            let mut staged = Staged::default();
            loop {
                pace.tick().await;
                self.look().await;
                self.attend(&mut staged).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = leading.cancelled() => {}
        }
    }

    async fn look(&self) {
        let stage = self.progress.replacing.borrow().stage;
        if stage.is_none() {
            return;
        }
        let looked = match self.store.read().await {
            Ok(Kept { replacement: Some(replacement), .. }) => self.step(&replacement).await,
            // What is over is told by whoever follows it.
            Ok(_) => return,
            Err(error) => Err(error),
        };
        let (waiting, confirmed) = match looked {
            Ok(Step { waiting, confirmed }) => (waiting, confirmed),
            Err(error) => (Some(format!("{error:#}")), None),
        };
        // Another stage is told by whoever follows what is kept: then it is published, too.
        if self.progress.replacing.borrow().stage == stage {
            self.progress.tell(Replacing { stage, waiting, confirmed, ..Replacing::default() });
        }
    }

    /// Goes to the next stage, or says what it waits for.
    async fn step(&self, seen: &Replacement) -> Result<Step> {
        let (confirmed, problem) = match self.gather().await {
            Ok(confirmed) => (confirmed, None),
            // As if there were one that has not confirmed.
            Err(problem) => (Confirmed { asked: 1, have: 0 }, Some(problem)),
        };
        if let Err(waiting) = seen.may_go_on(self.pace, confirmed, SystemTime::now()) {
            let known = problem.is_none().then_some(confirmed);
            return Ok(Step {
                waiting: Some(problem.unwrap_or_else(|| waiting.to_string())),
                confirmed: known,
            });
        }
        let expected = seen.clone();
        let advance = move |kept: &Kept| {
            let same = kept.replacement.as_ref() == Some(&expected);
            if same { kept.advance(SystemTime::now()).map(Some) } else { Ok(None) }
        };
        self.store.change(advance).await?;
        tracing::info!(
            stage = seen.stage().name(),
            "this stage of the replacement of the mesh's root is over"
        );
        Ok(Step { waiting: None, confirmed: problem.is_none().then_some(confirmed) })
    }

    /// What the proxies of all replicas have confirmed.
    ///
    /// # Errors
    /// Who does not answer.
    pub(super) async fn gather(&self) -> Result<Confirmed, String> {
        let Others { own, mesh, proofs, in_pod } = &self.others;
        let others = match peers::others(&mesh.load(), own) {
            Some(others) => others,
            None if *in_pod => {
                return Err("its own pod, and with it the other replicas, are not known".to_owned());
            }
            None => peers::Known::new(),
        };
        let mut asking = JoinSet::new();
        if !others.is_empty() {
            let proof = proofs.make(ROOTZ).ok_or("there is no key by which replicas know each other")?;
            for peer in others {
                let proof = proof.clone();
                asking.spawn(async move {
                    let page = ask(peer.address, &proof).await;
                    page.map_err(|problem| format!("the replica {} does not tell: {problem}", peer.name))
                });
            }
        }
        let mut pages = vec![self.progress.page()];
        while let Some(answer) = asking.join_next().await {
            pages.push(answer.map_err(|error| error.to_string())??);
        }
        confirmed(&pages)
    }
}

/// What became of a look.
struct Step {
    waiting: Option<String>,
    confirmed: Option<Confirmed>,
}

async fn ask(address: SocketAddr, proof: &str) -> Result<RootPage, String> {
    let page = peers::page(address, ROOTZ, proof).await.map_err(|failure| failure.text)?;
    serde_json::from_slice(&page).map_err(|error| format!("its answer cannot be read: {error}"))
}
