//! Where the authority comes from: files that operators plug in, a state folder, the Secret that all replicas share, or
//! memory.
//!
//! Source: `shared/spec/security.md` 1.1, 1.2.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use api::mesh_config::MeshConfig;
use ca::plugged::Files;
use ca::{Authority, Kept, Limits, Pace, Renewal};
use controllers::ca_secret::{self, CaSecret};
use model::Ref;
use prometheus::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xds::server::Clients;

mod absent;
mod expiry;
mod holders;
mod mover;
mod plugged;
mod progress;
mod remote;
mod renewing;
mod staged;
mod store;

pub(crate) use expiry::Expiry;
pub(crate) use holders::Holders;
pub(crate) use mover::{Mover, Others};
pub(crate) use progress::Progress;
use progress::Replacing;
pub(crate) use remote::Remote;
pub(crate) use store::Store;

/// The file that says of those beside it that they are a self-signed root that was made.
const GENERATED: &str = "istio-generated";

/// The file of roots that are trusted.
const EXTRA_ROOTS: &str = "root-cert.pem";

/// What signs now; none while it is not known.
pub(crate) type Roots = watch::Receiver<Option<Arc<Authority>>>;

/// What peers trust, PEM; none while it is not known.
pub(crate) type Trusted = watch::Receiver<Option<Arc<str>>>;

/// The mesh configuration that is in force; none before it is known.
pub(crate) type Settings = watch::Receiver<Option<Ref<MeshConfig>>>;

/// Where the root is kept.
pub(crate) enum Keeping {
    /// In a folder, which agents of a development mesh share.
    Folder(PathBuf),
    /// In the Secret `istio-ca-secret` of a namespace, as the reference does.
    Secret(CaSecret),
    /// Nowhere: there is another after a restart.
    Memory,
}

/// Which certificate authority operators plug in, and how it is treated.
#[derive(Clone, Debug)]
pub(crate) struct Plugging {
    /// The folder of its files (`ROOT_CA_DIR`).
    pub(crate) folder: PathBuf,
    /// Whether revocation lists are read (`PILOT_ENABLE_CA_CRL`).
    pub(crate) with_crl: bool,
    /// Whether other roots may follow (`ISTIO_MULTIROOT_MESH`).
    pub(crate) multiroot: bool,
    /// Whether the folder may hold a self-signed root that was made (`USE_CACERTS_FOR_SELF_SIGNED_CA`).
    pub(crate) self_signed: bool,
    /// Where the files are read from if they are not in the folder (`USE_REMOTE_CERTS`).
    pub(crate) remote: Option<Remote>,
}

impl Plugging {
    /// The files, where they are mounted, or else in the cluster if that is wanted. None if there are none, or if they are a
    /// self-signed root that was made.
    async fn read(&self) -> Result<Option<Files>> {
        if self.is_generated() {
            return Ok(None);
        }
        let this = self.clone();
        let mounted = blocking(move || Files::read(&this.folder, this.with_crl)).await;
        let Some(remote) = &self.remote else { return mounted };
        match mounted {
            Ok(Some(files)) => Ok(Some(files)),
            Ok(None) | Err(_) => remote.files(self.with_crl).await,
        }
    }

    /// Whether the files are a mounted Secret in which a self-signed root is kept.
    fn is_generated(&self) -> bool {
        self.self_signed && self.folder.join(GENERATED).is_file()
    }

    /// Roots that are trusted beside a self-signed one: those that are mounted with it.
    async fn extra_roots(&self) -> Option<String> {
        let path = self.is_generated().then(|| self.folder.join(EXTRA_ROOTS))?;
        tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await.ok()?.ok()
    }
}

/// How the authority is treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long certificates of workloads live.
    pub(crate) limits: Limits,
    /// When a self-signed root is renewed.
    pub(crate) renewal: Renewal,
    /// How long the stages of its replacement last.
    pub(crate) pace: Pace,
}

/// What signs and what is trusted, for all others.
pub(crate) struct Root {
    /// What signs.
    pub(crate) roots: Roots,
    /// What peers trust.
    pub(crate) trusted: Trusted,
    /// Revocation lists of plugged-in authorities, PEM, empty if there are none; none while that is not known.
    pub(crate) revoked: Trusted,
    /// Who was given what peers trust.
    pub(crate) holders: Holders,
    /// The Secret that it comes from, when that is known.
    pub(crate) secret: Arc<OnceLock<&'static str>>,
    /// Where a self-signed one is kept.
    pub(crate) store: Arc<Store>,
    replacing: watch::Receiver<Replacing>,
    pace: Pace,
}

/// Tells all others what signs and what is trusted.
struct Publisher {
    authority: watch::Sender<Option<Arc<Authority>>>,
    trusted: watch::Sender<Option<Arc<str>>>,
    revoked: watch::Sender<Option<Arc<str>>>,
    holders: Holders,
    secret: Arc<OnceLock<&'static str>>,
    replacing: watch::Sender<Replacing>,
    /// Roots that are trusted beside a self-signed one, PEM.
    extra: Option<String>,
    limits: Limits,
}

impl Publisher {
    /// Publishes a self-signed root as it is kept.
    fn keep(&self, kept: &Kept) -> Result<()> {
        self.revoke(None);
        self.publish(kept.authority(self.extra.as_deref(), SystemTime::now())?);
        let stage = kept.replacement.as_ref().map(ca::Replacement::stage);
        self.replacing.send_replace(Replacing { stage, ..Replacing::default() });
        Ok(())
    }

    /// Publishes a plugged-in authority. Files without revocation lists do not take back what was revoked.
    fn plug(&self, files: &Files, authority: Authority) {
        self.revoke(files.revoked());
        self.publish(authority);
        self.replacing.send_if_modified(|replacing| !std::mem::replace(&mut replacing.plugged, true));
    }

    /// Tells what is revoked; nothing stays what it was.
    fn revoke(&self, lists: Option<&str>) {
        self.revoked.send_if_modified(|known| {
            let next = lists.or(known.as_deref()).unwrap_or_default();
            let differs = known.as_deref() != Some(next);
            if differs {
                *known = Some(next.into());
            }
            differs
        });
    }

    fn publish(&self, authority: Authority) {
        let authority = authority.with_limits(self.limits);
        self.holders.trusting(authority.root_bundle());
        self.trusted.send_if_modified(|trusted| {
            let differs = trusted.as_deref() != Some(authority.root_bundle());
            if differs {
                *trusted = Some(authority.root_bundle().into());
            }
            differs
        });
        self.authority.send_replace(Some(Arc::new(authority)));
    }
}

/// Loads the authority, or makes one, and keeps it fresh. A mesh into which operators plug in one must not get another root:
/// what is wrong with its files ends the process. Without a place (`keeping`) there is none, and nothing is looked at.
pub(crate) fn start(
    tasks: &mut JoinSet<Result<()>>,
    keeping: Option<Keeping>,
    plugging: Plugging,
    terms: Terms,
    settings: Settings,
    shutdown: &CancellationToken,
) -> Root {
    let (authority, roots) = watch::channel(None);
    let (trusted, trust) = watch::channel(None);
    let (revoked, lists) = watch::channel(None);
    let (replacing, replaced) = watch::channel(Replacing::default());
    let (holders, secret) = (Holders::default(), Arc::default());
    let absent = keeping.is_none();
    let store = Arc::new(Store::new(keeping.unwrap_or(Keeping::Memory), terms.renewal, settings));
    let mut publisher = Publisher {
        authority,
        trusted,
        revoked,
        holders: holders.clone(),
        secret: Arc::clone(&secret),
        replacing,
        extra: None,
        limits: terms.limits,
    };
    let (stopped, kept) = (shutdown.clone(), Arc::clone(&store));
    tasks.spawn(async move {
        if absent {
            publisher.revoke(None);
            stopped.cancelled().await;
            return Ok(());
        }
        publisher.extra = plugging.extra_roots().await;
        tokio::select! {
            ended = keep(&kept, plugging, &publisher) => ended,
            () = stopped.cancelled() => Ok(()),
        }
    });
    Root {
        roots,
        trusted: trust,
        revoked: lists,
        holders,
        secret,
        store,
        replacing: replaced,
        pace: terms.pace,
    }
}

impl Root {
    /// What is told of it, with the proxies that are connected here.
    ///
    /// # Errors
    /// The name of a metric is taken.
    pub(crate) fn progress(
        &self,
        tasks: &mut JoinSet<Result<()>>,
        clients: Clients,
        registry: &Registry,
    ) -> Result<Progress> {
        let progress = Progress::new(self.roots.clone(), (self.holders.clone(), clients), registry)?;
        let (told, mut replacing) = (progress.clone(), self.replacing.clone());
        tasks.spawn(async move {
            loop {
                let now = replacing.borrow_and_update().clone();
                told.tell(now);
                // Whoever plugs in an authority has nothing that is replaced here.
                if replacing.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        Ok(progress)
    }

    /// What takes a replacement from stage to stage; to be run by one replica.
    pub(crate) fn mover(&self, progress: Progress, others: Others) -> Mover {
        let (store, early) = (Arc::clone(&self.store), Arc::default());
        Mover { store, progress, pace: self.pace, others, early }
    }
}

/// Ends with an error only.
async fn keep(store: &Store, plugging: Plugging, publisher: &Publisher) -> Result<()> {
    if let Some(files) = plugging.read().await? {
        let _ = publisher.secret.set(ca_secret::PLUGGED);
        let signs = files.authority(SystemTime::now())?;
        publisher.plug(&files, signs.clone());
        tracing::info!(folder = %plugging.folder.display(), "a plugged-in certificate authority signs");
        return plugged::follow(&plugging, (files, signs), publisher).await;
    }
    let kept = store.load_or_create().await?;
    if let Keeping::Secret(secret) = store.keeping() {
        let _ = publisher.secret.set(if secret.in_cacerts { ca_secret::PLUGGED } else { ca_secret::NAME });
    }
    publisher.keep(&kept)?;
    tracing::info!("the mesh's root is there");
    renewing::follow(store, kept, publisher).await
}

async fn trust_domain(settings: &mut Settings) -> Result<String> {
    let known = settings.wait_for(Option::is_some).await?;
    let mesh = known.as_ref().ok_or_else(|| anyhow!("the mesh configuration is not known"))?;
    Ok(mesh.trust_domain.clone())
}

/// Runs what waits for a disk or computes for long.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ca::Error> + Send + 'static,
) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

#[cfg(test)]
mod tests;
