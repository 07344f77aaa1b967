//! The certificate of this process's TLS ports: signed by the mesh's root or by a signer of Kubernetes and renewed, or taken
//! from files and followed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use ca::{Authority, PrivateKey, ServerRequest, Signed};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::files::{Content, Files};
use super::requested::Request;
use super::shown::{Shown, pair};
use crate::authority::root::{Roots, Trusted};

/// How long a certificate is valid; after half of that there is the next.
pub(super) const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Time until the next try after a signature that failed, and the least time between two.
pub(super) const RETRY: Duration = Duration::from_secs(60);
/// Time between two looks at files.
const FILES: Duration = Duration::from_secs(1);

/// A certificate that is kept fresh as long as the process runs.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    shown: Arc<Shown>,
    roots: Trusted,
}

impl Certificate {
    /// Takes it from files.
    ///
    /// # Errors
    /// What is there now cannot be used. Later mistakes are told in the log, and the last good pair stays.
    pub(crate) fn from_files(files: Files) -> Result<Self> {
        let content = files.read()?;
        let (now, roots) = files.parse(&content)?;
        let (shown, sender, this) = Self::showing(now, roots);
        tokio::spawn(follow(files, content, shown, sender));
        Ok(this)
    }

    /// Has the root sign it for `names`; waits until the root is known.
    ///
    /// # Errors
    /// The root cannot sign now, one of the names is none, or there will never be a root.
    pub(crate) async fn signed(mut roots: Roots, names: Vec<String>) -> Result<Self> {
        let root = known(&mut roots).await?;
        let (now, renew) = sign(&root, &names)?;
        let (shown, sender, this) = Self::showing(now, Some(root.root_bundle().to_owned()));
        tokio::spawn(renew_from(roots, root, names, renew, shown, sender));
        Ok(this)
    }

    /// One that a signer of Kubernetes signs; `roots` are what clients check it against. Waits until it was signed.
    pub(crate) async fn requested(request: Request, roots: Trusted) -> Self {
        let (now, renew) = request.certificate(roots.clone()).await;
        let shown = Arc::new(Shown::default());
        shown.set(now);
        tokio::spawn(request.renew(renew, Arc::clone(&shown), roots.clone()));
        Self { shown, roots }
    }

    fn showing(
        now: CertifiedKey,
        roots: Option<String>,
    ) -> (Arc<Shown>, watch::Sender<Option<Arc<str>>>, Self) {
        let shown = Arc::new(Shown::default());
        shown.set(now);
        let (sender, roots) = watch::channel(roots.map(Arc::from));
        (Arc::clone(&shown), sender, Self { shown, roots })
    }

    /// What a server shows.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// What clients check it against, PEM; none if only the owner of its files knows. It is marked as changed with each
    /// new certificate.
    pub(crate) fn roots(&self) -> Trusted {
        self.roots.clone()
    }
}

/// A new key with its certificate, and the time after which the next should follow.
fn sign(root: &Authority, names: &[String]) -> Result<(CertifiedKey, Duration)> {
    let now = now();
    let key = PrivateKey::generate()?;
    let request = ServerRequest { public_key: key.public_key()?, names: names.to_vec(), lifetime: LIFETIME };
    let Signed { chain_pem, not_after, .. } =
        root.sign_server(&request, now).context("certificate of the control plane")?;
    Ok((pair(chain_pem.as_bytes(), key.expose_pem().as_bytes())?, renewal(not_after, now)))
}

/// The time after which a certificate is renewed: half of the life that it has left.
pub(super) fn renewal(end: SystemTime, now: SystemTime) -> Duration {
    (end.duration_since(now).unwrap_or_default() / 2).max(RETRY)
}

/// The root, when there is one.
async fn known(roots: &mut Roots) -> Result<Arc<Authority>> {
    let root = roots.wait_for(Option::is_some).await.context("there is no root that could sign")?;
    root.clone().context("there is no root that could sign")
}

async fn renew_from(
    mut known: Roots,
    mut root: Arc<Authority>,
    names: Vec<String>,
    mut wait: Duration,
    shown: Arc<Shown>,
    roots: watch::Sender<Option<Arc<str>>>,
) {
    let mut followed = true;
    loop {
        let news = async { if followed { known.changed().await } else { std::future::pending().await } };
        match timeout(wait, news).await {
            Ok(Ok(())) => tracing::info!("the mesh has another root"),
            Ok(Err(_)) => {
                // Nobody replaces it any more: it goes on signing.
                followed = false;
                continue;
            }
            Err(_) => tracing::debug!("half of the certificate's life is over"),
        }
        if let Some(next) = &*known.borrow_and_update() {
            root = Arc::clone(next);
        }
        wait = match sign(&root, &names) {
            Ok((next, renew)) => {
                shown.set(next);
                roots.send_replace(Some(root.root_bundle().into()));
                renew
            }
            Err(error) => {
                tracing::error!("{error:#}; the certificate that is there is shown until it ends");
                RETRY
            }
        };
    }
}

async fn follow(files: Files, mut last: Content, shown: Arc<Shown>, roots: watch::Sender<Option<Arc<str>>>) {
    let mut unread = false;
    loop {
        sleep(FILES).await;
        let content = match files.read() {
            Ok(content) => content,
            // While files are replaced one may be missing for a moment.
            Err(error) => {
                if !std::mem::replace(&mut unread, true) {
                    tracing::warn!("{error:#}; the certificate that was there before is shown");
                }
                continue;
            }
        };
        unread = false;
        if content == last {
            continue;
        }
        match files.parse(&content) {
            Ok((next, bundle)) => {
                tracing::info!(file = %files.certificate.display(), "the certificate was replaced");
                shown.set(next);
                roots.send_replace(bundle.map(Arc::from));
            }
            Err(error) => tracing::warn!("{error:#}; the certificate that was there before is shown"),
        }
        last = content;
    }
}

#[allow(clippy::disallowed_methods, reason = "the rim: signing takes time as a value")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
