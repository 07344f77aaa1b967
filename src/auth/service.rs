//! `istio.v1.auth.IstioCertificateService`: certificates for whoever is known, about who it is and nothing else.
//!
//! Source: `shared/spec/security.md` 2; Istio `security/pkg/server/ca/server.go`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use ca::{Authority, Fault, SpiffeId};
use envoy::google::protobuf::Struct;
use envoy::google::protobuf::value::Kind;
use envoy::istio::v1::auth::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use envoy::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Response, Status};

use crate::fair::{Source, Turns};
use crate::rate::Buckets;
use crate::{
    Authenticators, Caller, Credentials, External, Means, Metrics, NodeProxies, Order, Rate, Unsigned,
};

/// The authority that signs now; none while it is not known.
pub type Authorities = watch::Receiver<Option<Arc<Authority>>>;

/// Who signs.
#[derive(Clone)]
pub enum Signing {
    /// The mesh's authority.
    Here(Authorities),
    /// Somebody else, and the longest lifetime that it is asked for.
    Elsewhere(Arc<dyn External>, Duration),
}

/// Longer requests are not looked at: one with an RSA key of 16,384 bits has 5,000 bytes.
const LONGEST: usize = 64 * 1024;

/// The key of the metadata that names another identity than the caller's own.
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// The key of the metadata that names a signer of Kubernetes.
const SIGNER: &str = "CertSigner";

/// Is told of each certificate that is issued: to whom, at which address, with which roots (PEM).
pub type Witness = Arc<dyn Fn(&SpiffeId, Option<IpAddr>, &str) + Send + Sync>;

/// Issues certificates. Clones are the same.
#[derive(Clone)]
pub struct CertificateService(Arc<Inner>);

struct Inner {
    authenticators: Arc<Authenticators>,
    nodes: Option<NodeProxies>,
    signing: Signing,
    witness: Witness,
    /// Whether it was told that nobody chooses among signers here.
    told: AtomicBool,
    metrics: Metrics,
    /// How often a source may ask.
    buckets: Buckets,
    /// Signatures at once: as many as there are processors.
    turns: Turns,
}

/// Why nothing was signed: the reference's name of it, the code, words.
type Failure = (&'static str, Code, String);

impl CertificateService {
    /// One that issues for those whom `authenticators` know, as often as `rate` says; `nodes` if proxies of nodes may ask for
    /// others. The witness is told of what was issued.
    pub fn new(
        authenticators: Arc<Authenticators>,
        nodes: Option<NodeProxies>,
        (signing, witness): (Signing, Witness),
        rate: Rate,
        metrics: Metrics,
    ) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let (buckets, turns) = (Buckets::new(rate), Turns::new(processors));
        let told = AtomicBool::new(false);
        Self(Arc::new(Inner { authenticators, nodes, signing, witness, told, metrics, buckets, turns }))
    }

    /// Answers the requests of its path.
    pub fn into_server(self) -> IstioCertificateServiceServer<Self> {
        IstioCertificateServiceServer::new(self).max_decoding_message_size(2 * LONGEST)
    }

    /// Answers a request with these credentials.
    async fn answer(
        &self,
        credentials: &Credentials,
        request: IstioCertificateRequest,
        now: SystemTime,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let metrics = &self.0.metrics;
        metrics.requests.inc();
        let source = credentials.address.map(|address| address.ip());
        if source.is_some_and(|source| !self.0.buckets.admit(source, Instant::now())) {
            metrics.limited.inc();
            tracing::debug!(?source, "no certificate: the source asks too often");
            return Err(Status::resource_exhausted("too many requests from this address: ask again later"));
        }
        let caller = self.0.authenticators.authenticate(credentials, now).await.map_err(|reason| {
            metrics.unauthenticated.inc();
            let address = credentials.address;
            tracing::warn!(?address, %reason, "no certificate: the client is not known");
            Status::unauthenticated("request authenticate failure")
        })?;
        let wanted = text(request.metadata.as_ref(), IMPERSONATED);
        let identity = self.identity(&caller, wanted)?;
        let issued = self.sign(source, identity, request, now).await.inspect(|issued| {
            metrics.issued.inc();
            let roots = issued.get_ref().cert_chain.last().map(String::as_str).unwrap_or_default();
            (self.0.witness)(&caller.identity, credentials.address.map(|address| address.ip()), roots);
        });
        issued.map_err(|failure| {
            let (error, code, words) = failure;
            metrics.errors.with_label_values(&[error]).inc();
            tracing::warn!(identity = %caller.identity, error, words, "no certificate");
            Status::new(code, format!("CSR signing error ({words})"))
        })
    }

    /// The identity that is certified: the caller's own, or that of a pod on its node.
    fn identity(&self, caller: &Caller, wanted: &str) -> Result<SpiffeId, Status> {
        if caller.means == Means::Foreign {
            self.0.metrics.unauthenticated.inc();
            let domain = caller.identity.trust_domain();
            tracing::warn!(identity = %caller.identity, "no certificate: the client is of another trust domain");
            return Err(Status::permission_denied(format!(
                "the authority of trust domain {domain:?} issues its certificates, not this one"
            )));
        }
        if wanted.is_empty() {
            return Ok(caller.identity.clone());
        }
        let admitted = match &self.0.nodes {
            Some(nodes) => nodes.admit(caller, wanted).map_err(|reason| reason.to_string()),
            None => {
                Err(format!("{} asks for {wanted:?}: CA_TRUSTED_NODE_ACCOUNTS is not set", caller.identity))
            }
        };
        admitted.map_err(|reason| {
            self.0.metrics.unauthenticated.inc();
            tracing::warn!(reason, "no certificate: the client may not have that identity");
            Status::unauthenticated("request impersonation authentication failure")
        })
    }

    async fn sign(
        &self,
        source: Source,
        identity: SpiffeId,
        request: IstioCertificateRequest,
        now: SystemTime,
    ) -> Result<Response<IstioCertificateResponse>, Failure> {
        let signer = text(request.metadata.as_ref(), SIGNER).to_owned();
        if request.csr.len() > LONGEST {
            let words = format!("csr: is longer than {LONGEST} bytes");
            return Err(("CSR_ERROR", Code::InvalidArgument, words));
        }
        match &self.0.signing {
            Signing::Here(authorities) => {
                let not_ready =
                    || ("CA_NOT_READY", Code::Internal, "the mesh's root is not known yet".to_owned());
                let authority = authorities.borrow().clone().ok_or_else(not_ready)?;
                if !signer.is_empty() && !self.0.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%identity, signer, "asks for a signer of Kubernetes, but EXTERNAL_CA is not set: the mesh's authority signs");
                }
                self.in_turn(source, move || certify(&authority, &request, &identity, now)).await
            }
            Signing::Elsewhere(external, longest) => {
                let longest = *longest;
                let order = self.in_turn(source, move || {
                    let lifetime = (request.validity_duration, longest);
                    Order::new(request.csr, (identity, source), lifetime, signer, now).map_err(failure)
                });
                // Whoever waits for others takes no turn from anybody.
                let signed = external.sign(order.await?).await;
                signed
                    .map(|cert_chain| Response::new(IstioCertificateResponse { cert_chain }))
                    .map_err(unsigned)
            }
        }
    }

    /// Does what costs a processor when it is the source's turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.0.turns.take(source).await;
        // Who goes away does not make room before the processor has it.
        let done = move || {
            let _turn = turn;
            work()
        };
        let failed = |error: tokio::task::JoinError| ("UNKNOWN", Code::Internal, error.to_string());
        tokio::task::spawn_blocking(done).await.map_err(failed)?
    }
}

/// Verifies a request and signs a certificate: a millisecond of a processor with an RSA key.
fn certify(
    authority: &Authority,
    request: &IstioCertificateRequest,
    identity: &SpiffeId,
    now: SystemTime,
) -> Result<Response<IstioCertificateResponse>, Failure> {
    let issued = authority.sign(&request.csr, &[identity.to_string()], request.validity_duration, now);
    let mut response = Response::new(IstioCertificateResponse { cert_chain: issued.map_err(failure)?.chain });
    let own = authority.standings().iter().filter(|standing| standing.is_root).count();
    response.metadata_mut().insert(ca::OWN_ROOTS, own.into());
    Ok(response)
}

fn failure(error: ca::Error) -> Failure {
    let (name, code) = match error.fault() {
        Fault::Request => ("CSR_ERROR", Code::InvalidArgument),
        Fault::Lifetime => ("TTL_ERROR", Code::InvalidArgument),
        Fault::NotReady => ("CA_NOT_READY", Code::Internal),
        Fault::Signing => ("CERT_GEN_ERROR", Code::Internal),
    };
    (name, code, error.to_string())
}

fn unsigned(reason: Unsigned) -> Failure {
    match reason {
        Unsigned::Lifetime(words) => ("TTL_ERROR", Code::InvalidArgument, words),
        // Agents ask again after a while.
        Unsigned::Crowded(words) => ("CERT_GEN_ERROR", Code::ResourceExhausted, words),
        Unsigned::Failed(words) => ("CERT_GEN_ERROR", Code::Internal, words),
    }
}

/// A text of the request's metadata; empty if it is not there.
fn text<'a>(metadata: Option<&'a Struct>, key: &str) -> &'a str {
    match metadata.and_then(|metadata| metadata.fields.get(key)).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text,
        _ => "",
    }
}

#[tonic::async_trait]
impl IstioCertificateService for CertificateService {
    async fn create_certificate(
        &self,
        request: tonic::Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        // Whoever serves the connection says what it knows of it; without that nobody is known.
        let (_, mut extensions, message) = request.into_parts();
        let credentials = extensions.remove::<Credentials>().unwrap_or_default();
        self.answer(&credentials, message, now()).await
    }
}

#[allow(clippy::disallowed_methods, reason = "the rim: everything behind takes time as a value")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;
