//! Who may look at `/debug`: clients on the loopback, which is where `kubectl port-forward` comes from; at one page of it
//! the other replicas, too.
//!
//! Source: `shared/spec/operations.md` 1.1. Other clients have to authenticate, and there is no way to do so yet.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Whether a bearer's token is one that counts.
type Admits = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Answers 401 without a body to all but the loopback.
pub(crate) async fn loopback_only(request: Request, next: Next) -> Response {
    if is_loopback(&request) { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() }
}

/// Answers 401 without a body to all but the loopback and bearers of a token that counts.
pub(crate) async fn loopback_or_bearer(
    State(admits): State<Admits>,
    request: Request,
    next: Next,
) -> Response {
    if is_loopback(&request) || bearer(&request).is_some_and(|token| admits(token)) {
        return next.run(request).await;
    }
    StatusCode::UNAUTHORIZED.into_response()
}

fn is_loopback(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(address)| address.ip().to_canonical().is_loopback())
}

/// The token of RFC 6750 2.1.
fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use axum::{Router, middleware};
    use tower::ServiceExt as _;

    use super::*;

    async fn status(page: &str, from: &str, authorization: Option<&str>) -> u16 {
        let admits: Admits = Arc::new(|token| token == "let-me-in");
        let counts = Router::new()
            .route("/counts", get(|| async { "counts" }))
            .layer(middleware::from_fn_with_state(admits, loopback_or_bearer));
        let others = Router::new()
            .route("/others", get(|| async { "others" }))
            .layer(middleware::from_fn(loopback_only));
        let mut request = axum::http::Request::get(page);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let from: SocketAddr = from.parse().expect("an address");
        let request = request.extension(ConnectInfo(from)).body(Body::empty()).expect("a request");
        let answer = counts.merge(others).oneshot(request).await.expect("an answer");
        answer.status().as_u16()
    }

    #[tokio::test]
    async fn the_loopback_sees_all_and_a_bearer_one_page() {
        let (near, far) = (["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"], "10.0.0.1:1");
        for from in near {
            assert_eq!(
                (status("/counts", from, None).await, status("/others", from, None).await),
                (200, 200)
            );
        }
        for good in ["Bearer let-me-in", "bearer let-me-in"] {
            assert_eq!(status("/counts", far, Some(good)).await, 200);
            assert_eq!(status("/others", far, Some(good)).await, 401);
        }
        let bad = [None, Some(""), Some("let-me-in"), Some("Basic let-me-in"), Some("Bearer let-me-in2")];
        for authorization in bad {
            assert_eq!(status("/counts", far, authorization).await, 401, "{authorization:?}");
        }
    }
}
