//! What peers trust: the mesh's own roots and, where several may be (`ISTIO_MULTIROOT_MESH`), those that the mesh
//! configuration adds. Certificates are issued with all of them, clients are verified by all of them, proxies that ask are
//! sent all of them.
//!
//! The mesh's own roots alone vouch for the control plane itself: namespaces and webhooks learn no others.
//!
//! Source: `shared/spec/security.md` 1.6, trap 9.

mod anchors;
mod shown;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use api::mesh_config::MeshConfig;
use auth::Domains;
use ca::{Anchor, Authority};
use model::Ref;
use prometheus::Registry;
use sources::event::Batch;
use sources::jwks::Fetcher;
use sources::spiffe::{self, Bundles, Wanted};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::authority::root::{Roots, Settings, Trusted};
use crate::features;
pub(crate) use anchors::Anchors;
use shown::Ages;

/// The mesh's own: what signs, and by which roots who is known.
pub(crate) struct Own {
    /// What signs.
    pub(crate) roots: Roots,
    /// By which roots clients are known.
    pub(crate) clients: Trusted,
    /// Under which roots workloads have their certificates.
    pub(crate) peers: Trusted,
}

/// What is trusted, for those who act upon it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Trust {
    /// What signs, and has whoever gets a certificate trust the further roots, too.
    pub(crate) roots: Roots,
    /// The mesh's own roots, by which clients are known.
    pub(crate) own: Trusted,
    /// The further ones.
    pub(crate) others: watch::Receiver<Arc<Anchors>>,
}

impl Trust {
    /// The mesh's own roots and nothing else.
    pub(crate) fn own(roots: Roots, own: Trusted) -> Self {
        let (_, others) = watch::channel(Arc::default());
        Self { roots, own, others }
    }

    /// With the further roots of the mesh configuration, which are followed, if `multiroot`: then proxies that ask are told
    /// what is trusted, by way of the mesh.
    ///
    /// # Errors
    /// TLS cannot be set up, or the name of a metric is taken.
    pub(crate) fn start(
        tasks: &mut JoinSet<Result<()>>,
        Own { roots, clients, peers }: Own,
        settings: Settings,
        (multiroot, batches): (bool, mpsc::Sender<Batch>),
        registry: &Registry,
    ) -> Result<Self> {
        if !multiroot {
            let own = Self::own(roots, clients);
            own.warn(tasks);
            return Ok(own);
        }
        // Whoever may answer for a bundle decides who is trusted: its certificate is always verified.
        let options = sources::jwks::Options { insecure: false, ..features::jwks().0 };
        let fetcher = Fetcher::new(options).context("TLS for fetching SPIFFE bundles")?;
        let (wanted, addresses) = watch::channel(Wanted::new());
        let (found, bundles) = watch::channel(Bundles::new());
        registry.register(Box::new(Ages::new(bundles.clone())?))?;
        tasks.spawn(async move {
            spiffe::follow(fetcher, addresses, found).await;
            Err(anyhow!("SPIFFE bundles are no longer fetched"))
        });
        let (signing, signs) = watch::channel(roots.borrow().clone());
        let (known, others) = watch::channel(Arc::default());
        let joining = Joining { roots, own: peers, settings, bundles, wanted, signing, known, batches };
        tasks.spawn(async move {
            joining.run().await;
            Err(anyhow!("further roots are no longer followed"))
        });
        let this = Self { roots: signs, own: clients, others };
        this.warn(tasks);
        Ok(this)
    }

    /// Tells in the log which roots peers mistake for each other, whenever there are others.
    fn warn(&self, tasks: &mut JoinSet<Result<()>>) {
        let mut this = self.clone();
        tasks.spawn(async move {
            let mut known = Vec::new();
            loop {
                let found = this.namesakes();
                for problem in found.iter().filter(|problem| !known.contains(*problem)) {
                    tracing::warn!("{problem}");
                }
                known = found;
                if this.roots.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        });
    }
}

/// Puts together what is trusted.
struct Joining {
    roots: Roots,
    own: Trusted,
    settings: Settings,
    bundles: watch::Receiver<Bundles>,
    wanted: watch::Sender<Wanted>,
    signing: watch::Sender<Option<Arc<Authority>>>,
    known: watch::Sender<Arc<Anchors>>,
    /// Take what proxies that ask are told.
    batches: mpsc::Sender<Batch>,
}

impl Joining {
    /// Ends when nothing that it follows can change any more.
    async fn run(mut self) {
        let mut known = BTreeSet::new();
        loop {
            let mesh = self.settings.borrow_and_update().clone();
            let bundles = self.bundles.borrow_and_update().clone();
            let roots = self.roots.borrow_and_update().clone();
            let own = self.own.borrow_and_update().clone();
            if let Some(mesh) = mesh {
                self.learn(&mesh, &bundles);
            }
            let anchors = Arc::clone(&self.known.borrow());
            self.signing.send_replace(roots.map(|signs| Arc::new(signs.trusting(anchors.all()))));
            if let Some(own) = own
                && self.batches.send(told(&own, &anchors)).await.is_err()
            {
                return;
            }
            let problems: BTreeSet<String> = anchors.problems().collect();
            for problem in problems.difference(&known) {
                tracing::warn!("{problem}");
            }
            known = problems;
            tokio::select! {
                Ok(()) = self.settings.changed() => {}
                Ok(()) = self.bundles.changed() => {}
                Ok(()) = self.roots.changed() => {}
                Ok(()) = self.own.changed() => {}
                else => return,
            }
        }
    }

    fn learn(&self, mesh: &Ref<MeshConfig>, bundles: &Bundles) {
        let wanted = anchors::wanted(mesh);
        self.wanted.send_if_modified(|known| {
            let differs = *known != wanted;
            *known = wanted;
            differs
        });
        let anchors = Anchors::of(mesh, bundles);
        self.known.send_if_modified(|known| {
            let differs = **known != anchors;
            if differs {
                *known = Arc::new(anchors);
            }
            differs
        });
    }
}

/// What proxies are told to trust. What is the same as before changes nothing.
fn told(own: &str, anchors: &Anchors) -> Batch {
    let others = anchors.all().map(|anchor| &**anchor.pem());
    let trusted = Anchor::merged(std::iter::once(own).chain(others));
    Batch { trusted: Some(trusted), ..Batch::default() }
}

/// What is wrong with the further roots that are written in a mesh configuration, a line each.
pub(crate) fn problems(mesh: &MeshConfig) -> Vec<String> {
    Anchors::of(mesh, &Bundles::new()).problems().collect()
}

/// Those of the identities that are of the mesh: what another trust domain says of a service account of the same name means
/// nothing here. All of them where the mesh configuration is not known.
pub(crate) fn of_the_mesh(settings: Option<&Settings>, identities: &[String]) -> Vec<String> {
    let domains = settings.and_then(|settings| Domains::now(settings).ok());
    let counts = |identity: &&String| {
        let domain = identity.strip_prefix("spiffe://").and_then(|rest| rest.split('/').next());
        domains.as_ref().is_none_or(|domains| domain.is_some_and(|domain| domains.include(domain)))
    };
    identities.iter().filter(counts).cloned().collect()
}

#[cfg(test)]
mod tests;
