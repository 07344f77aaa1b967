//! A server's certificate that a signer of Kubernetes signs, asked for again at half of its life.
//!
//! Source: `shared/spec/security.md` 1.9 (case 5).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ca::{Csr, PrivateKey, Returned};
use controllers::signing::{Signers, Wanted};
use rustls::sign::CertifiedKey;
use tokio::time::{sleep, timeout};

use super::certificate::{LIFETIME, RETRY, now, renewal};
use super::shown::{Shown, pair};
use crate::authority::root::Trusted;

/// Time until the next try at the start, when nobody is served yet.
const FIRST: Duration = Duration::from_secs(5);

/// What is asked for, and of whom.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The signers of the cluster.
    pub(crate) signers: Signers,
    /// Which of them, by its full name.
    pub(crate) signer: String,
    /// What clients call this process.
    pub(crate) names: Vec<String>,
}

impl Request {
    /// The first certificate, and the time after which the next should follow. Tries until there is one.
    pub(super) async fn certificate(&self, roots: Trusted) -> (CertifiedKey, Duration) {
        loop {
            match self.ask(&roots).await {
                Ok(made) => return made,
                Err(error) => {
                    tracing::error!("{error:#}; without a certificate nobody is served over TLS");
                    sleep(FIRST).await;
                }
            }
        }
    }

    /// Asks for the next certificates, for ever: at half of the life of the last, and when there are other roots.
    pub(super) async fn renew(self, mut wait: Duration, shown: Arc<Shown>, mut roots: Trusted) {
        let mut known = roots.borrow_and_update().clone();
        loop {
            let news = async {
                if roots.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let half_over = timeout(wait, news).await.is_err();
            let next = roots.borrow_and_update().clone();
            if !half_over && next == known {
                continue;
            }
            known = next;
            wait = match self.ask(&roots).await {
                Ok((next, renew)) => {
                    shown.set(next);
                    tracing::info!(signer = self.signer, "the control plane has another certificate");
                    renew
                }
                Err(error) => {
                    tracing::error!("{error:#}; the certificate that is there is shown until it ends");
                    RETRY
                }
            };
        }
    }

    async fn ask(&self, roots: &Trusted) -> Result<(CertifiedKey, Duration)> {
        let key = PrivateKey::generate()?;
        let csr = key.request_server(&self.names)?;
        let public = Csr::from_pem(&csr)?.key;
        let wanted = Wanted {
            csr,
            signer: self.signer.clone(),
            whom: format!("the control plane as {}", self.names.join(", ")),
            lifetime: Some(LIFETIME),
            by_clients: false,
            source: None,
        };
        let what = "certificate of the control plane";
        let signed = self.signers.sign(wanted).await.context(what)?;
        let (roots, now) = (roots.borrow().clone(), now());
        let read = Returned::read(&signed).and_then(|found| found.of_server(&public, roots.as_deref(), now));
        let (chain, ends) = read.with_context(|| format!("{what} of the signer {}", self.signer))?;
        Ok((pair(chain.as_bytes(), key.expose_pem().as_bytes())?, renewal(ends, now)))
    }
}
