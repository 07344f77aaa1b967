//! Takes a replacement of the root from stage to stage, on one replica: when the proxies of all replicas have confirmed, and
//! when what the old root signed has ended. Of a plugged-in authority only how far it has come is told ([`super::staged`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use arc_swap::ArcSwap;
use ca::{Confirmed, Kept, Pace, Replacement, Stage, Waiting};
use controllers::expiring::Warnings;
use debug::{ROOTZ, RootPage};
use model::Mesh;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::absent::Absent;
use super::progress::{Progress, Replacing, Tally};
use super::staged::Staged;
use super::store::Store;
use crate::telling::peers::{self, Proofs, Replica};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Time between two times that a replica hears the others.
const HEAR: Duration = Duration::from_secs(10);

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
            let mut absent = Absent::new(self.pace, Instant::now());
            loop {
                pace.tick().await;
                self.look(&mut absent).await;
                self.attend(&mut staged, &mut absent).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = leading.cancelled() => {}
        }
    }

    /// Hears what the other replicas tell, as long as that matters, so that it is not lost when they end.
    pub(crate) async fn listen(&self) {
        let mut pace = interval(HEAR);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let Replacing { stage, plugged, .. } = self.progress.replacing.borrow().clone();
            let several = || self.progress.roots.borrow().as_ref().is_some_and(|signs| signs.own_roots() > 1);
            if matches!(stage, Some(Stage::Distributing(_))) || (plugged && several()) {
                // Whoever does not answer is told of by the replica that goes on.
                let _ = self.tally().await;
            }
        }
    }

    async fn look(&self, absent: &mut Absent) {
        let stage = self.progress.replacing.borrow().stage;
        if stage.is_none() {
            return;
        }
        let looked = match self.store.read().await {
            Ok(Kept { replacement: Some(replacement), .. }) => self.step(&replacement, absent).await,
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
    async fn step(&self, seen: &Replacement, absent: &mut Absent) -> Result<Step> {
        let (confirmed, problem) = match self.gather(absent).await {
            Ok(confirmed) => (confirmed, None),
            // As if there were one that has not confirmed.
            Err(problem) => (Confirmed { asked: 1, have: 0 }, Some(problem)),
        };
        // Whoever was connected to a process that has just ended is not there yet.
        let unsettled = matches!(seen.stage(), Stage::Distributing(_))
            .then(|| absent.unsettled(Instant::now()))
            .flatten()
            .map_or(Ok(()), |left| Err(Waiting::For(left)));
        if let Err(waiting) = seen.may_go_on(self.pace, confirmed, SystemTime::now()).and(unsettled) {
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
    pub(super) async fn gather(&self, absent: &mut Absent) -> Result<Confirmed, String> {
        Ok(absent.count(&self.tally().await?, Instant::now()))
    }

    /// What all replicas tell, whatever revision they are of: they share the root.
    async fn tally(&self) -> Result<Tally, String> {
        let Others { own, mesh, proofs, in_pod } = &self.others;
        let others = match peers::of_all_revisions(&mesh.load(), own) {
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
        let (mut pages, mut silent) = (vec![self.progress.page()], None);
        while let Some(answer) = asking.join_next().await {
            match answer.map_err(|error| error.to_string()).flatten() {
                Ok(page) => pages.push(page),
                Err(problem) => silent = Some(problem),
            }
        }
        // Also where others do not answer: what was told is not to be lost.
        for page in &pages {
            self.progress.holders.hear(&page.bundle, &page.heard);
        }
        let tally = Tally::of(&pages)?;
        self.progress.holders.hear(&tally.bundle, &tally.given);
        silent.map_or(Ok(tally), Err)
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
