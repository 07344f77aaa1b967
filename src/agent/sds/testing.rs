//! A control plane that issues certificates over real TLS, as a test wants it to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ca::{PrivateKey, PublicKey, Root, ServerRequest, SpiffeId};
use envoy::google::protobuf::value::Kind;
use envoy::istio::v1::auth::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use envoy::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tonic::{Request, Response, Status};

use crate::{Clock, Issuer};

/// What the control plane calls itself.
pub(super) const NAME: &str = "istiod.istio-system.svc";

/// A control plane.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    root: Mutex<Arc<Root>>,
    /// Who everybody is said to be.
    identity: Mutex<SpiffeId>,
    failing: Mutex<bool>,
    /// The tokens that were shown.
    tokens: watch::Sender<Vec<String>>,
}

impl Plane {
    pub(super) async fn start(identity: SpiffeId, clock: Arc<dyn Clock>) -> Self {
        let root = Arc::new(new_root());
        let (certificate, key) = served(&root);
        let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            clock,
            root: Mutex::new(root),
            identity: Mutex::new(identity),
            failing: Mutex::default(),
            tokens: watch::Sender::default(),
        });
        let this = Self { address, inner };
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), this.clone()));
        this
    }

    /// How an agent asks it: with a file of its roots and a token, both written into `folder`.
    pub(super) fn issuer(&self, folder: &Path) -> Issuer {
        let [roots, token] = ["roots.pem", "token"].map(|name| folder.join(name));
        write(&roots, self.root().cert_pem());
        write(&token, "first\n");
        let address = format!("127.0.0.1:{}", self.address.port()).parse().unwrap();
        let (cluster, signer) = ("east".to_owned(), "corp".to_owned());
        Issuer { address, server_name: NAME.to_owned(), roots, token, cluster, signer }
    }

    pub(super) fn root(&self) -> Arc<Root> {
        Arc::clone(&self.inner.root.lock().unwrap())
    }

    /// Signs with a new root from now on.
    pub(super) fn replace_root(&self) {
        *self.inner.root.lock().unwrap() = Arc::new(new_root());
    }

    /// Takes everybody for this one.
    pub(super) fn certify(&self, identity: SpiffeId) {
        *self.inner.identity.lock().unwrap() = identity;
    }

    /// Says that it is unavailable from now on, or no more.
    pub(super) fn fail(&self, failing: bool) {
        *self.inner.failing.lock().unwrap() = failing;
    }

    /// The tokens that were shown until now, when there are so many.
    pub(super) async fn asked(&self, times: usize) -> Vec<String> {
        let mut tokens = self.inner.tokens.subscribe();
        let tokens = tokens.wait_for(|tokens| tokens.len() >= times).await.unwrap();
        tokens.clone()
    }
}

#[tonic::async_trait]
impl IstioCertificateService for Plane {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let header =
            |name: &str| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("clusterid").as_deref(), Some("east"));
        let token = header("authorization").unwrap_or_default();
        self.inner.tokens.send_modify(|tokens| tokens.push(token));
        if *self.inner.failing.lock().unwrap() {
            return Err(Status::unavailable("no"));
        }
        let request = request.into_inner();
        let signer =
            request.metadata.as_ref().and_then(|metadata| metadata.fields["CertSigner"].kind.clone());
        assert_eq!(signer, Some(Kind::StringValue("corp".to_owned())));
        let (root, identity) = (self.root(), self.inner.identity.lock().unwrap().clone());
        let lifetime = Duration::from_secs(request.validity_duration.unsigned_abs());
        let public_key = PublicKey::from_csr_pem(&request.csr).unwrap();
        let wanted = ca::Request { public_key, identity, lifetime };
        let signed = root.sign(&wanted, self.inner.clock.now()).unwrap();
        let cert_chain = vec![signed.chain_pem, root.cert_pem().to_owned()];
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, plane: Plane) {
    while let Ok((socket, _)) = listener.accept().await {
        // An agent that does not trust it ends the handshake.
        let Ok(stream) = tls.accept(socket).await else { continue };
        let service = TowerToHyperService::new(IstioCertificateServiceServer::new(plane.clone()));
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new()).http2_only();
            server.serve_connection(TokioIo::new(stream), service).await
        });
    }
}

/// Writes a file whole, as kubelet does.
pub(super) fn write(path: &PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn new_root() -> Root {
    Root::generate("cluster.local", now()).unwrap()
}

fn served(root: &Root) -> (String, String) {
    let key = PrivateKey::generate().unwrap();
    let public_key = key.public_key().unwrap();
    let names = vec![NAME.to_owned()];
    let request = ServerRequest { public_key, names, lifetime: Duration::from_secs(3600) };
    let signed = root.sign_server(&request, now()).unwrap();
    (signed.chain_pem, key.expose_pem().to_string())
}

/// TLS looks at the machine's clock.
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
