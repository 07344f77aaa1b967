//! The certificate of this process's TLS ports: signed by the mesh's root and renewed, or taken from files and followed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use ca::{Authority, PrivateKey, ServerRequest, Signed};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::files::{Content, Files};
use super::shown::{Shown, pair};
use crate::root::Roots;

/// How long a certificate is valid; after half of that there is the next.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Time until the next try after a signature that failed, and the least time between two.
const RETRY: Duration = Duration::from_secs(60);
/// Time between two looks at files.
const FILES: Duration = Duration::from_secs(1);

/// A certificate that is kept fresh as long as the process runs.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    shown: Arc<Shown>,
    roots: watch::Receiver<Option<String>>,
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

    fn showing(
        now: CertifiedKey,
        roots: Option<String>,
    ) -> (Arc<Shown>, watch::Sender<Option<String>>, Self) {
        let shown = Arc::new(Shown::default());
        shown.set(now);
        let (sender, roots) = watch::channel(roots);
        (Arc::clone(&shown), sender, Self { shown, roots })
    }

    /// What a server shows.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// What clients check it against, PEM; none if only the owner of its files knows. It is marked as changed with each
    /// new certificate.
    pub(crate) fn roots(&self) -> watch::Receiver<Option<String>> {
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
    let left = not_after.duration_since(now).unwrap_or_default();
    Ok((pair(chain_pem.as_bytes(), key.expose_pem().as_bytes())?, (left / 2).max(RETRY)))
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
    roots: watch::Sender<Option<String>>,
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
                roots.send_replace(Some(root.root_bundle().to_owned()));
                renew
            }
            Err(error) => {
                tracing::error!("{error:#}; the certificate that is there is shown until it ends");
                RETRY
            }
        };
    }
}

async fn follow(files: Files, mut last: Content, shown: Arc<Shown>, roots: watch::Sender<Option<String>>) {
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
                roots.send_replace(bundle);
            }
            Err(error) => tracing::warn!("{error:#}; the certificate that was there before is shown"),
        }
        last = content;
    }
}

#[allow(clippy::disallowed_methods, reason = "the rim: signing takes time as a value")]
fn now() -> SystemTime {
    SystemTime::now()
}
