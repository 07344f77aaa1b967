//! The list of pages: `/debug` for people, `/debug/list` for programs.

use axum::Router;
use axum::response::{Html, Response};
use axum::routing::get;
use serde_json::Value;

use crate::answer::{self, Query};

/// The pages and what they show.
const PAGES: [(&str, &str); 19] = [
    ("adsz", "connected proxies: what each watches, was sent, acknowledged and refused"),
    ("clusterz", "the clusters that are followed, and how far each is"),
    ("config_dump", "what a proxy is to have (proxyID=, types=, include_eds)"),
    ("configz", "the configuration that is in force"),
    ("connections", "connected proxies, in short"),
    ("edsz", "the endpoints that a proxy is to have (proxyID=)"),
    ("endpointShardz", "the endpoints of each service"),
    ("endpointz", "the same"),
    ("jwks", "the keys of those who issue tokens: how old they are, and what the last try to fetch them met"),
    ("leaders", "which replica does the work of which controller"),
    ("list", "the names of these pages"),
    ("mesh", "the mesh configuration that is in force"),
    ("ndsz", "the names that a proxy's agent is to answer DNS queries for (proxyID=)"),
    ("problems", "what is wrong with the configuration now"),
    ("registryz", "the services of the mesh"),
    ("sources", "the objects that a proxy's resources come from (proxyID=, resource=)"),
    (
        "rootz",
        "what the mesh trusts, how far a replacement of its root is, and who was given the roots by this replica",
    ),
    ("spreadz", "how many proxies of this replica need, have and refuse what was made of each object"),
    ("syncz", "which proxies have what they were sent"),
];

/// The list for people, which everybody may see.
pub(crate) fn router() -> Router {
    Router::new().route("/debug", get(index)).route("/debug/", get(index))
}

/// The list for programs.
pub(crate) fn list() -> Router {
    Router::new().route("/debug/list", get(names))
}

async fn index() -> Html<String> {
    let rows: String = PAGES
        .iter()
        .map(|(page, what)| format!("<tr><td><a href=\"/debug/{page}\">{page}</a><td>{what}\n"))
        .collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>pilothouse</title>\n\
         <style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:52rem}}td{{padding:.1rem 1rem .1rem 0}}</style>\n\
         <h1>pilothouse</h1><table>\n{rows}</table></html>\n"
    ))
}

async fn names(query: Query) -> Response {
    let names = PAGES.iter().map(|(page, _)| *page).filter(|page| *page != "list");
    answer::json(&Value::from_iter(names), &query)
}
