//! Certificates by way of the API server: an object CertificateSigningRequest each, approved here, signed by whoever is there
//! for its signer, and taken away again.
//!
//! ```text
//! places    who may wait, and how many: pure
//! answers   what became of objects, told to those who wait
//! metrics   what is counted, by signer
//! ```
//!
//! Source: `shared/spec/security.md` 1.8; Istio `security/pkg/k8s/chiron/utils.go`.

mod answers;
mod metrics;
mod places;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use sources::kube::Connection;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::write::{Write, WriteError, Writer};
use answers::{Answers, outcome};
pub use metrics::Metrics;
use places::Places;

/// The resource, as RBAC names it.
const RESOURCE: &str = "certificatesigningrequests";

/// What the names of objects begin with, as those of the reference.
const NAME: &str = "csr-workload-";

/// How long a signer may take: less than the minute after which the server gives every request up, so that the workload and the
/// log are told which signer was silent.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// The least lifetime that the API server takes.
pub const LEAST_LIFETIME: Duration = Duration::from_secs(600);

/// Writes at once: other controllers have the same rate.
const TOGETHER: usize = 8;

/// What is to be signed.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The request, PEM.
    pub csr: String,
    /// The signer's full name, such as `clusterissuers.cert-manager.io/mesh`.
    pub signer: String,
    /// Whom it is for, in words for those who look at the object.
    pub whom: String,
    /// How long it is to be valid, if that is to be said.
    pub lifetime: Option<Duration>,
    /// Whether clients show it too, as workloads do.
    pub by_clients: bool,
    /// From where it was asked for.
    pub source: Option<IpAddr>,
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// Too many wait for this signer.
    #[error("too many requests wait for the signer {0}: it does not answer, or takes long; ask again later")]
    Crowded(String),
    /// An object could not be written or read.
    #[error("no CertificateSigningRequest for the signer {signer}: cannot {verb} it: {error}")]
    Write {
        /// The signer.
        signer: String,
        /// What was tried.
        verb: &'static str,
        /// What became of it.
        error: WriteError,
    },
    /// Somebody said no.
    #[error("CertificateSigningRequest {name} for the signer {signer} {problem}")]
    Refused {
        /// The object.
        name: String,
        /// The signer.
        signer: String,
        /// What was said.
        problem: String,
    },
    /// The signer does not answer.
    #[error(
        "the signer {signer} has not signed CertificateSigningRequest {name} within {} s: is what signs for it running, and \
         does it take approved requests of this control plane?",
        patience.as_secs()
    )]
    Silent {
        /// The object, gone by now.
        name: String,
        /// The signer.
        signer: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// Whoever asked has gone.
    #[error("nobody waits for it any more")]
    Left,
}

/// Signers of a cluster. Clones are the same.
#[derive(Clone, Debug)]
pub struct Signers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api<CertificateSigningRequest>,
    writer: Writer,
    answers: Answers,
    places: Places,
    metrics: Metrics,
    patience: Duration,
    writing: Semaphore,
}

impl Signers {
    /// Those of the cluster of this connection, each of which is waited for so long. Nothing is signed before [`Signers::run`].
    pub fn new(connection: &Connection, writer: Writer, metrics: Metrics, patience: Duration) -> Self {
        Self(Arc::new(Inner {
            api: Api::all(connection.client().clone()),
            writer,
            answers: Answers::default(),
            places: Places::default(),
            metrics,
            patience,
            writing: Semaphore::new(TOGETHER),
        }))
    }

    /// Follows what becomes of objects, until it is dropped.
    pub async fn run(&self) {
        self.0.answers.follow(&self.0.api, &self.0.writer).await;
    }

    /// Has a certificate signed. Out: the chain as the signer gave it, PEM. Dropped, the object is taken away at once.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub async fn sign(&self, wanted: Wanted) -> Result<Vec<u8>, Unsigned> {
        let metrics = self.0.metrics.clone();
        let Some(place) = self.0.places.take(&wanted.signer, wanted.source, &metrics) else {
            metrics.count(&wanted.signer, "crowded");
            return Err(Unsigned::Crowded(wanted.signer));
        };
        let left = CancellationToken::new();
        let _leaving = left.clone().drop_guard();
        let inner = Arc::clone(&self.0);
        // What is made must be taken away, whoever goes in between.
        let done = tokio::spawn(async move {
            let _place = place;
            let (signer, since) = (wanted.signer.clone(), Instant::now());
            let done = inner.carry(wanted, &left).await;
            metrics.done(&signer, &done, since);
            done
        });
        done.await.unwrap_or(Err(Unsigned::Left))
    }
}

impl Inner {
    async fn carry(&self, wanted: Wanted, left: &CancellationToken) -> Result<Vec<u8>, Unsigned> {
        let failed = |verb| {
            let signer = wanted.signer.clone();
            move |error| Unsigned::Write { signer, verb, error }
        };
        let object = fresh(&wanted);
        let post = PostParams::default();
        let made = self.write("create", RESOURCE, NAME, || self.api.create(&post, &object));
        let silent = |_| Err(WriteError::Unreachable("the API server does not answer".to_owned()));
        let made = timeout(self.patience, made).await.unwrap_or_else(silent).map_err(failed("create"))?;
        self.answers.seen(made.metadata.resource_version);
        let name = made.metadata.name.unwrap_or_default();
        let signed = tokio::select! {
            signed = timeout(self.patience, self.signed(&name, &wanted)) => signed.unwrap_or_else(|_| {
                let (name, signer) = (name.clone(), wanted.signer.clone());
                Err(Unsigned::Silent { name, signer, patience: self.patience })
            }),
            () = left.cancelled() => Err(Unsigned::Left),
        };
        let delete = DeleteParams::default();
        let gone = self.write("delete", RESOURCE, &name, || self.api.delete(&name, &delete)).await;
        if let Err(error @ (WriteError::Refused(_) | WriteError::Unreachable(_))) = gone {
            tracing::warn!(name, %error, "a CertificateSigningRequest is left behind");
        }
        signed
    }

    /// Approves an object, and waits for what becomes of it.
    async fn signed(&self, name: &str, wanted: &Wanted) -> Result<Vec<u8>, Unsigned> {
        // From now on nothing that becomes of it is missed: what was before stands in what is read next.
        let mut told = self.answers.expect(name);
        let failed = |error| Unsigned::Write { signer: wanted.signer.clone(), verb: "get", error };
        loop {
            let object = self.write("get", RESOURCE, name, || self.api.get(name)).await.map_err(failed)?;
            if let Some(outcome) = outcome(&object) {
                return outcome;
            }
            // Somebody else may have written, too: then it is looked at again.
            if self.approve(object, wanted).await?
                && let Some(outcome) = told.outcome().await
            {
                return outcome;
            }
        }
    }

    /// Approves an object, if nobody did; false if it has changed meanwhile.
    async fn approve(
        &self,
        mut object: CertificateSigningRequest,
        wanted: &Wanted,
    ) -> Result<bool, Unsigned> {
        if !answers::approve(&mut object, approval(&wanted.whom)) {
            return Ok(true);
        }
        let name = object.metadata.name.clone().unwrap_or_default();
        let (resource, post) = (format!("{RESOURCE}/approval"), PostParams::default());
        let replace = || self.api.replace_subresource("approval", &name, &post, &object);
        match self.write("update", &resource, &name, replace).await {
            Ok(_) => Ok(true),
            Err(WriteError::Conflict) => Ok(false),
            Err(error) => Err(Unsigned::Write { signer: wanted.signer.clone(), verb: "approve", error }),
        }
    }

    async fn write<T, F>(
        &self,
        verb: &'static str,
        resource: &str,
        name: &str,
        request: impl Fn() -> F,
    ) -> Result<T, WriteError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let _turn = self.writing.acquire().await;
        let what = Write::new(verb, resource, "", name);
        let done = self.writer.write(&what, request).await;
        if let Err(error @ WriteError::Refused(_)) = &done {
            self.writer.tell(&what, error);
        }
        done
    }
}

fn fresh(wanted: &Wanted) -> CertificateSigningRequest {
    let mut usages = vec!["digital signature", "key encipherment", "server auth"];
    if wanted.by_clients {
        usages.push("client auth");
    }
    let seconds = |lifetime: Duration| i32::try_from(lifetime.as_secs()).unwrap_or(i32::MAX);
    CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(wanted.csr.clone().into_bytes()),
            signer_name: wanted.signer.clone(),
            usages: Some(usages.into_iter().map(str::to_owned).collect()),
            expiration_seconds: wanted.lifetime.map(seconds),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    }
}

fn approval(whom: &str) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: answers::APPROVED.to_owned(),
        status: "True".to_owned(),
        reason: Some("KnownToTheMesh".to_owned()),
        message: Some(format!("asked for by {whom}, whom the mesh's control plane knows")),
        ..CertificateSigningRequestCondition::default()
    }
}
