//! From a request of HTTP/2 to a stream: the two ADS methods, and everything else to the router.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::backend::Backend;
use super::body::AdsBody;
use super::clients::Clients;
use super::clock::Clock;
use super::config::Config;
use super::doubts::Doubts;
use super::gate::Gate;
use super::listen::Hooks;
use super::rate::Rate;
use super::recent::Recent;
use super::status::Status;
use crate::frame::Pages;
use crate::generate::Peer;
use crate::metrics::Metrics;
use crate::protocol::{NameLists, Variant};

const SOTW_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const GRPC: &str = "application/grpc";

/// What all streams of a server share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    pub(super) clients: Clients,
    pub(super) clock: Clock,
    pub(super) rate: Rate,
    pub(super) recent: Recent,
    pub(super) doubts: Doubts,
    pub(super) names: NameLists,
    pub(super) pages: Pages,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) hooks: Hooks,
}

/// What is not ADS: who answers, and places for requests of one connection.
#[derive(Clone)]
pub(super) struct Others {
    pub(super) router: Router,
    pub(super) places: Arc<Semaphore>,
}

/// Serves one request of a connection: its number, who is at its other end, and the gate that streams pass.
pub(super) async fn serve(
    shared: Arc<Shared>,
    (connection, mut peer, gate): (u64, Peer, Option<Arc<dyn Gate>>),
    others: Others,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let variant = match request.uri().path() {
        SOTW_PATH => Variant::Sotw,
        DELTA_PATH => Variant::Delta,
        _ => {
            request.extensions_mut().insert(peer);
            let patience = shared.config.other_request;
            let late = || refused(&Status::deadline_exceeded(format!("it took longer than {patience:?}")));
            return timeout(patience, others.answer(request)).await.unwrap_or_else(|_| late());
        }
    };
    if request.method() != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.starts_with(GRPC)) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let turn = match shared.rate.turn(shared.clock.now()) {
        Ok(turn) => turn,
        Err(status) => return refused(&status),
    };
    if let Some(gate) = gate {
        match gate.admit(&peer, request.headers()).await {
            Ok(identities) => peer.identities = identities,
            Err(refusal) => return refused(&Status::from(refusal)),
        }
    }
    let body = AdsBody::new(shared, variant, connection, peer, turn, request.into_body());
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

impl Others {
    /// The answer, when there is a place: what a client sends of a request is kept until it is whole.
    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let _place = self.places.acquire().await;
        match self.router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A gRPC answer that consists of a status only.
fn refused(status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = status.headers();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}
