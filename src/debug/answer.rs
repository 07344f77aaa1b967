//! The forms of answers that all pages share.
//!
//! Source: `shared/spec/operations.md` 0.2, 1.2.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;

/// The query of a request.
pub(crate) type Query = axum::extract::Query<BTreeMap<String, String>>;

/// A JSON answer: compact, or indented if the query has `pretty`.
pub(crate) fn json(value: &Value, query: &Query) -> Response {
    let text = if query.contains_key("pretty") { format!("{value:#}") } else { value.to_string() };
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A text of these lines.
pub(crate) fn lines(lines: &[String]) -> Response {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The answer for a page that is not there; istioctl looks for this text.
pub(crate) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// Why no proxy was found; the answer says it in the words that istioctl knows.
pub(crate) enum NoProxy {
    /// `proxyID` is missing.
    Unnamed,
    /// No connected proxy has that id.
    NotConnected,
}

impl IntoResponse for NoProxy {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Unnamed => (StatusCode::BAD_REQUEST, "You must provide a proxyID in the query string\n"),
            Self::NotConnected => (
                StatusCode::NOT_FOUND,
                "Proxy not connected to this Pilot instance. It may be connected to another instance.\n",
            ),
        };
        (status, text).into_response()
    }
}

/// Sends clients that double a slash (istioctl asks for `//debug/syncz`) to the cleaned path.
pub(crate) async fn single_slashes(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.contains("//") {
        return next.run(request).await;
    }
    let mut clean = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !clean.ends_with('/') {
            clean.push(c);
        }
    }
    let target = match request.uri().query() {
        Some(query) => format!("{clean}?{query}"),
        None => clean,
    };
    match target.parse::<Uri>() {
        Ok(uri) => Redirect::temporary(&uri.to_string()).into_response(),
        Err(_) => not_found().await,
    }
}
