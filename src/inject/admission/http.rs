//! The rim of admission: HTTP requests to and from questions.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::Value;

use super::judge::{Warn, review};
use super::metrics::Metrics;
use super::wire::{AdmissionResponse, Review, Verdict, unreadable};

/// The longest body: an object and its predecessor are no longer than 3 MiB each.
const BODY: usize = 6 * 1024 * 1024;

/// Answers the API server. Clones are the same.
#[derive(Clone)]
pub struct Admission {
    others: Arc<dyn Warn>,
    metrics: Metrics,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl Admission {
    /// `others` tells what an object makes of those that are there.
    pub fn new(others: Arc<dyn Warn>, metrics: Metrics) -> Self {
        Self { others, metrics }
    }

    /// `/validate` and everything below it.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/validate", any(validate))
            .route("/validate/{*rest}", any(validate))
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self.clone())
    }

    fn refuse(&self, status: StatusCode, text: &str) -> Response {
        self.metrics.refused(status);
        (status, format!("{text}\n")).into_response()
    }
}

/// `/ready` of the webhooks' port, which is opened when there is something to say.
pub fn ready() -> Router {
    Router::new().route("/ready", get(|| async { StatusCode::OK }))
}

async fn validate(
    State(admission): State<Admission>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) if body.is_empty() => return admission.refuse(StatusCode::BAD_REQUEST, "no body found"),
        Ok(body) => body,
        Err(error) => return admission.refuse(error.status(), &error.body_text()),
    };
    if !is_json(&headers) {
        let text = "invalid Content-Type, want `application/json`";
        return admission.refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    let judge = admission.clone();
    // A long object takes a while, which must not hold up others; and should a rule panic, the API server learns that there
    // was no answer, and does what the webhook's failurePolicy says.
    match tokio::task::spawn_blocking(move || judge.answer(&body)).await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response(),
        Err(error) => {
            tracing::error!(%error, "an object could not be judged");
            admission.refuse(StatusCode::INTERNAL_SERVER_ERROR, "the object could not be judged")
        }
    }
}

impl Admission {
    fn answer(&self, body: &[u8]) -> Value {
        let asked = match Review::read(body) {
            Ok(asked) => asked,
            Err(message) => {
                tracing::warn!(why = message, "a request to the validation webhook that is no question");
                return unreadable(&message);
            }
        };
        let response = review(&asked.request, &*self.others);
        self.metrics.answered(&asked.request, &response.verdict);
        tell(&asked, &response);
        asked.answer(&response)
    }
}

/// Refusals are told in the log, but for those that are only tried out.
fn tell(asked: &Review, response: &AdmissionResponse) {
    if let Verdict::Refused { message, .. } = &response.verdict
        && asked.request.dry_run != Some(true)
    {
        tracing::info!(why = message, "refused an object");
    }
}

/// Parameters, such as a charset, mean nothing for JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}
