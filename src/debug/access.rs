//! Who may look at `/debug`: clients on the loopback, which is where `kubectl port-forward` comes from.
//!
//! Source: `shared/spec/operations.md` 1.1. Other clients have to authenticate, and there is no way to do so yet.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 401 without a body to all but the loopback.
pub(crate) async fn loopback_only(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    match peer {
        Some(ConnectInfo(address)) if address.ip().to_canonical().is_loopback() => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}
