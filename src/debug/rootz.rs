//! What the mesh trusts, and how far a replacement of its root is: `/debug/rootz`, for operators and for the other replicas.
//!
//! Own format: a JSON object, see [`RootPage`]. No keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::Surface;
use crate::answer::{self, Query};

/// What a replica that asks for the page has to prove that it asks for.
pub const ROOTZ: &str = "rootz";

/// A certificate of the authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedRoot {
    /// Its subject.
    pub name: String,
    /// Whether peers trust it; if not, it stands in the chain.
    pub trusted: bool,
    /// Its end, in seconds since 1970.
    pub not_after: u64,
}

/// Roots that the mesh configuration adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FurtherRoots {
    /// Their place there, such as `caCertificates[0].pem`.
    pub field: String,
    /// The trust domains whose certificates they verify; empty for the mesh's own.
    pub trust_domains: Vec<String>,
    /// Those that are trusted.
    pub certificates: Vec<TrustedRoot>,
    /// Where they are fetched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How long ago they were fetched, in seconds; none if that never succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// What is left out, and what the last fetch met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A replacement of the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedRoot {
    /// `distributing` or `signing`.
    pub stage: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// What it waits for; only on the replica that moves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// How many proxies are connected to all replicas; only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<usize>,
    /// How many of them have confirmed that they trust both roots; only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<usize>,
}

/// How far the roots of an authority that operators plug in have come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RootSpread {
    /// How many proxies are connected to all replicas; only on the replica that asks the others, while there are several roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<usize>,
    /// How many of them have confirmed that they trust all roots that are there now; only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<usize>,
    /// Why that is not known; only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// What is wrong if the signing certificate was replaced before proxies trust its root; only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early: Option<String>,
}

/// The page of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RootPage {
    /// What names the mesh's own roots; replicas that have the same roots have the same.
    pub bundle: String,
    /// The roots and the certificates of the chain.
    pub certificates: Vec<TrustedRoot>,
    /// Further roots, which the mesh configuration adds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<FurtherRoots>,
    /// Which of the roots peers mistake for each other, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namesakes: Vec<String>,
    /// The replacement that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<ReplacedRoot>,
    /// How far the roots have come, if operators plug them in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<RootSpread>,
    /// The proxies that are connected to this replica, as `IDENTITY|ADDRESS`, and how many there are of each.
    pub proxies: BTreeMap<String, usize>,
    /// Who was given the roots by this replica, as above, and how often.
    pub holders: BTreeMap<String, usize>,
    /// The same by all replicas that this one has heard of, also those that have ended; only while it is asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: BTreeMap<String, usize>,
}

/// What the page needs.
#[derive(Clone)]
pub struct Rootz {
    /// The page of this replica.
    pub page: Arc<dyn Fn() -> RootPage + Send + Sync>,
    /// Whether a bearer's token proves that it is another replica.
    pub admits: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new().route("/debug/rootz", get(rootz)).with_state(surface.rootz.clone())
}

async fn rootz(State(rootz): State<Rootz>, query: Query) -> Response {
    answer::json(&serde_json::to_value((rootz.page)()).unwrap_or_default(), &query)
}
