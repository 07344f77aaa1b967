//! Who is let in: credentials of connections and requests, shown to those who know.

use std::sync::Arc;
use std::time::SystemTime;

use auth::{Authenticators, Credentials};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use envoy::istio::v1::auth::istio_certificate_service_server::IstioCertificateServiceServer;
use http::HeaderMap;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use xds::generate::{Code, Peer, Refusal};
use xds::server::{Admitting, Gate};

/// Lets streams in whose credentials are good.
pub(super) struct Doorkeeper(Arc<Authenticators>);

impl Doorkeeper {
    pub(super) fn new(authenticators: Arc<Authenticators>) -> Self {
        Self(authenticators)
    }
}

impl Gate for Doorkeeper {
    fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Admitting {
        let (authenticators, credentials) = (Arc::clone(&self.0), credentials(peer, headers));
        let address = peer.address;
        Box::pin(async move {
            match authenticators.authenticate(&credentials, now()).await {
                Ok(caller) => Ok(vec![caller.identity.to_string()]),
                Err(reason) => {
                    tracing::warn!(?address, %reason, "a stream is refused: the client is not known");
                    // Why is not told to who tries doors.
                    let message = "authentication failure".to_owned();
                    Err(Refusal { code: Code::Unauthenticated, message })
                }
            }
        })
    }
}

/// The certificate service; each request has among its extensions what came with it.
pub(super) fn with_credentials(service: IstioCertificateServiceServer<auth::CertificateService>) -> Router {
    Router::new().fallback_service(service).layer(from_fn(
        async |mut request: Request, next: Next| -> Response {
            if let Some(peer) = request.extensions().get::<Peer>() {
                let credentials = credentials(peer, request.headers());
                request.extensions_mut().insert(credentials);
            }
            next.run(request).await
        },
    ))
}

/// The identity of the client certificate that a handshake verified; none if there was none.
pub(super) fn shown(stream: &TlsStream<TcpStream>) -> Vec<String> {
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let identity = leaf.and_then(|leaf| auth::certificate::identity(leaf).ok());
    identity.iter().map(ToString::to_string).collect()
}

fn credentials(peer: &Peer, headers: &HeaderMap) -> Credentials {
    Credentials::of(peer.address, &peer.identities, headers)
}

#[allow(clippy::disallowed_methods, reason = "the rim: everything behind takes time as a value")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
