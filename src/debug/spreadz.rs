//! How far objects have come with the proxies of this replica: `/debug/spreadz`, for operators and for the other replicas.
//!
//! Own format: a JSON list of `{group, kind, namespace, name, generation, needed, accepted, refused, refusal}`, by object;
//! `refusal` is `{proxy, type, among, words}` or absent.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use api::{Kind, ObjectKey};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;
use xds::kind::ResourceType;
use xds::spread::{Refusal, Spread};

use crate::Surface;
use crate::answer::{self, Query};

/// What a replica that asks for the page has to prove that it asks for.
pub const SPREADZ: &str = "spreadz";

/// How far objects have come, by object.
pub type Spreads = Arc<BTreeMap<ObjectKey, Spread>>;

/// Counts how far objects have come; none before anything is served.
pub type Counting = Pin<Box<dyn Future<Output = Option<Spreads>> + Send>>;

/// What the page needs.
#[derive(Clone)]
pub struct Spreadz {
    /// How far objects have come with the proxies of this replica.
    pub counts: Arc<dyn Fn() -> Counting + Send + Sync>,
    /// Whether a bearer's token proves that it is another replica.
    pub admits: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// An object of the page.
#[derive(Serialize, Deserialize)]
struct Row {
    group: String,
    kind: String,
    namespace: Arc<str>,
    name: Arc<str>,
    generation: i64,
    needed: usize,
    accepted: usize,
    refused: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Refused>,
}

/// What a proxy said.
#[derive(Serialize, Deserialize)]
struct Refused {
    proxy: String,
    r#type: String,
    among: usize,
    words: String,
}

/// Reads the page of another replica. Rows of kinds that this version does not know are left out.
///
/// # Errors
/// It is not such a page.
pub fn read(page: &[u8]) -> serde_json::Result<BTreeMap<ObjectKey, Spread>> {
    let rows: Vec<Row> = serde_json::from_slice(page)?;
    Ok(rows.into_iter().filter_map(Row::read).collect())
}

impl Row {
    fn of((key, spread): (&ObjectKey, &Spread)) -> Self {
        let refusal = spread.refusal.as_ref().map(|refusal| Refused {
            proxy: refusal.proxy.clone(),
            r#type: refusal.kind.short_name().to_owned(),
            among: refusal.among,
            words: refusal.words.clone(),
        });
        Self {
            group: key.kind.group().to_owned(),
            kind: key.kind.name().to_owned(),
            namespace: Arc::clone(&key.namespace),
            name: Arc::clone(&key.name),
            generation: spread.generation,
            needed: spread.needed,
            accepted: spread.accepted,
            refused: spread.refused,
            refusal,
        }
    }

    fn read(self) -> Option<(ObjectKey, Spread)> {
        let kind = Kind::in_any_version(&self.group, &self.kind)?;
        let refusal = self.refusal.and_then(|Refused { proxy, r#type, among, words }| {
            let kind = ResourceType::ALL.into_iter().find(|kind| kind.short_name() == r#type)?;
            Some(Refusal { proxy, kind, among, words })
        });
        let Self { generation, needed, accepted, refused, .. } = self;
        let spread = Spread { generation, needed, accepted, refused, refusal };
        Some((ObjectKey { kind, namespace: self.namespace, name: self.name }, spread))
    }
}

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new().route("/debug/spreadz", get(spreadz)).with_state(surface.spreadz.clone())
}

async fn spreadz(State(page): State<Spreadz>, query: Query) -> Response {
    match (page.counts)().await {
        Some(spreads) => answer::json(&json!(spreads.iter().map(Row::of).collect::<Vec<_>>()), &query),
        None => (StatusCode::SERVICE_UNAVAILABLE, "nothing is served yet\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, name: &str) -> ObjectKey {
        ObjectKey { kind, namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn what_one_replica_writes_another_reads() {
        let refusal = Refusal {
            proxy: "web.shop".to_owned(),
            kind: ResourceType::Route,
            among: 2,
            words: "\"no\"\n".to_owned(),
        };
        let refused =
            Spread { generation: 7, needed: 3, accepted: 1, refused: 2, refusal: Some(refusal.clone()) };
        let written = BTreeMap::from([
            (key(Kind::Gateway, "a"), Spread { generation: 1, needed: 1, accepted: 1, ..Spread::default() }),
            (key(Kind::VirtualService, "b"), refused.clone()),
        ]);
        let rows: Vec<Row> = written.iter().map(Row::of).collect();
        let text = serde_json::to_string(&rows).expect("JSON");
        assert_eq!(read(text.as_bytes()).expect("a page"), written);

        // Kinds and types of a newer version.
        let newer = text.replace("\"Gateway\"", "\"Airlock\"").replace("\"RDS\"", "\"XDS\"");
        let known = read(newer.as_bytes()).expect("a page");
        let expected = (key(Kind::VirtualService, "b"), Spread { refusal: None, ..refused });
        assert_eq!(known.into_iter().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn what_is_no_such_page_is_an_error() {
        for page in ["", "{}", "[{}]", "[{\"needed\": -1}]"] {
            assert!(read(page.as_bytes()).is_err(), "{page}");
        }
    }
}
