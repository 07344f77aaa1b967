//! Signers of Kubernetes in the place of the mesh's authority: which one is asked, and what its answer is worth.
//!
//! Source: `shared/spec/security.md` 1.8, 2.1; Istio `security/pkg/pki/ra/k8s_ra.go`.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use auth::{External, Order, Unsigned};
use ca::Returned;
use controllers::signing::{self, LEAST_LIFETIME, Metrics, PATIENCE, Signers, Wanted};
use controllers::write::Writers;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus::Registry;
use sources::kube::Connection;
use tokio::task::{JoinSet, spawn_blocking};

use crate::authority::anchors::Anchors;
use crate::authority::root::Settings;
use crate::features::certificates::{Elsewhere, Issuing, Provider};

/// The longest name of a signer that the API server takes: domain, slash, path.
const LONGEST: usize = 571;

/// Signers of Kubernetes, as far as they are used here.
#[derive(Default)]
pub(crate) struct Used {
    /// By which certificates are signed; none if the mesh's authority signs all of them.
    pub(crate) signers: Option<Signers>,
    /// The roots of those that sign in the authority's place.
    pub(crate) anchors: Option<Anchors>,
    /// What signs for workloads in the authority's place.
    pub(crate) external: Option<Arc<dyn External>>,
}

impl Used {
    /// As variables say.
    ///
    /// # Errors
    /// There is no cluster, the name of a metric is taken, or a file of roots cannot be used.
    pub(crate) fn of(
        tasks: &mut JoinSet<Result<()>>,
        issuing: &Issuing,
        cluster: Option<(&Connection, &Writers)>,
        settings: &Settings,
        registry: &Registry,
    ) -> Result<Self> {
        if issuing.elsewhere.is_none() && !matches!(issuing.provider, Provider::Signer(_)) {
            return Ok(Self::default());
        }
        let (connection, writers) =
            cluster.context("signers of Kubernetes (EXTERNAL_CA, PILOT_CERT_PROVIDER) need a cluster")?;
        let signers = Signers::new(connection, writers.of("signing"), Metrics::register(registry)?, PATIENCE);
        let follower = signers.clone();
        tasks.spawn(async move {
            follower.run().await;
            Err(anyhow!("CertificateSigningRequests are no longer followed"))
        });
        let Some(elsewhere) = &issuing.elsewhere else {
            return Ok(Self { signers: Some(signers), ..Self::default() });
        };
        let anchors = Anchors::new(tasks, elsewhere.clone(), settings.clone())?;
        tracing::info!(
            signer = elsewhere.usual,
            domain = elsewhere.domain,
            "signers of Kubernetes sign certificates of workloads"
        );
        let external =
            Registration { signers: signers.clone(), names: elsewhere.clone(), anchors: anchors.clone() };
        Ok(Self { signers: Some(signers), anchors: Some(anchors), external: Some(Arc::new(external)) })
    }
}

/// Has certificates of workloads signed.
#[derive(Clone, Debug)]
struct Registration {
    signers: Signers,
    names: Elsewhere,
    anchors: Anchors,
}

impl External for Registration {
    fn sign(&self, order: Order) -> BoxFuture<'static, Result<Vec<String>, Unsigned>> {
        let this = self.clone();
        async move { this.obtain(order).await }.boxed()
    }
}

impl Registration {
    async fn obtain(&self, order: Order) -> Result<Vec<String>, Unsigned> {
        let signer = full_name(&self.names, &order.signer)?;
        if order.lifetime.is_some_and(|lifetime| lifetime < LEAST_LIFETIME) {
            let words = format!(
                "lifetime: signers of Kubernetes give no less than {} s (SECRET_TTL of agents)",
                LEAST_LIFETIME.as_secs()
            );
            return Err(Unsigned::Lifetime(words));
        }
        let wanted = Wanted {
            csr: order.csr.clone(),
            signer: signer.clone(),
            whom: order.identity.to_string(),
            lifetime: order.lifetime,
            by_clients: true,
            source: order.source,
        };
        let signed = self.signers.sign(wanted).await.map_err(unsigned)?;
        let roots = self.anchors.of(&signer);
        // Signatures of others are verified: that may take a processor a while.
        let answer = spawn_blocking(move || answer(&signed, &order, roots)).await;
        let answer = answer.map_err(|error| Unsigned::Failed(error.to_string()))?;
        answer.map_err(|problem| Unsigned::Failed(format!("the signer {signer}: {problem}")))
    }
}

/// The full name of the signer that a request names.
fn full_name(names: &Elsewhere, asked: &str) -> Result<String, Unsigned> {
    let Elsewhere { usual, domain } = names;
    let failed = |words: String| Err(Unsigned::Failed(words));
    let name = match (asked, domain.as_str()) {
        ("", _) if usual.is_empty() => {
            return failed(
                "no signer is asked for (ISTIO_META_CERT_SIGNER of the workload), and K8S_SIGNER is not set"
                    .to_owned(),
            );
        }
        ("", _) => usual.clone(),
        (_, "") => {
            return failed(format!("CERT_SIGNER_DOMAIN is not set: the signer {asked:?} cannot be named"));
        }
        (asked, domain) => format!("{domain}/{asked}"),
    };
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    if name.len() > LONGEST || !asked.chars().all(letter) {
        return failed("the name of the signer that is asked for is none".to_owned());
    }
    Ok(name)
}

fn answer(signed: &[u8], order: &Order, roots: Option<Arc<str>>) -> Result<Vec<String>, String> {
    let text = |error: ca::Error| error.to_string();
    let returned = Returned::read(signed).map_err(text)?;
    let roots = roots.or_else(|| returned.last_ca().map(Arc::from)).ok_or(
        "nobody says what its root is: name the signer in certSigners of an entry of caCertificates in the mesh configuration, or \
         mount its root at /etc/external-ca-cert/root-cert.pem",
    )?;
    Ok(returned.answer(&order.key, &order.identity, &roots, order.now).map_err(text)?.chain)
}

fn unsigned(reason: signing::Unsigned) -> Unsigned {
    match reason {
        crowded @ signing::Unsigned::Crowded(_) => Unsigned::Crowded(crowded.to_string()),
        other => Unsigned::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
