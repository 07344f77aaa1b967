//! The clusters that are followed: `/debug/clusterz`.
//!
//! Source: `shared/spec/operations.md` 1.3; Istio `pkg/kube/multicluster/secretcontroller.go`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::Surface;
use crate::answer::{self, Query};

/// A cluster, as `istioctl remote-clusters` reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name.
    pub id: String,
    /// The Secret that gives access to it, as NAMESPACE/NAME; empty for the home cluster.
    pub secret_name: String,
    /// `synced`, `syncing` or `timeout`.
    pub sync_status: &'static str,
}

/// Gives the clusters.
pub type Clusters = Arc<dyn Fn() -> Vec<Cluster> + Send + Sync>;

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new().route("/debug/clusterz", get(clusterz)).with_state(surface.clone())
}

async fn clusterz(State(surface): State<Surface>, query: Query) -> Response {
    match &surface.clusters {
        Some(clusters) => answer::json(&serde_json::to_value(clusters()).unwrap_or_default(), &query),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}
