//! The keys of those who issue tokens, as far as they were fetched: `/debug/jwks`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::Surface;
use crate::answer::{self, Query};

/// Keys that policies ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchedKeys {
    /// Who issues the tokens.
    pub issuer: String,
    /// Where the keys are; empty if the issuer's OpenID configuration says it.
    pub jwks_uri: String,
    /// How long ago they were fetched, in seconds; none if there are none, and the issuer's tokens are refused.
    pub age_seconds: Option<u64>,
    /// What the last try met, if it failed.
    pub error: Option<String>,
}

/// Gives the keys that policies ask for.
pub type Jwks = Arc<dyn Fn() -> Vec<FetchedKeys> + Send + Sync>;

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new().route("/debug/jwks", get(jwks)).with_state(surface.clone())
}

async fn jwks(State(surface): State<Surface>, query: Query) -> Response {
    answer::json(&serde_json::to_value((surface.jwks)()).unwrap_or_default(), &query)
}
