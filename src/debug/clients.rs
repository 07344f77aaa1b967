//! The connected proxies: `/debug/syncz`, `/debug/adsz`, `/debug/connections`.
//!
//! Source: `shared/spec/operations.md` 1.3.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use xds::kind::ResourceType;
use xds::server::{Client, Clients};

use crate::Surface;
use crate::access::View;
use crate::answer::{self, NoProxy, Query};

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new()
        .route("/debug/syncz", get(syncz))
        .route("/debug/adsz", get(adsz))
        .route("/debug/connections", get(connections))
        .with_state(surface.clients.clone())
}

/// The first client whose connection id contains `proxyID`, of those that may be seen.
pub(crate) fn find(clients: &Clients, query: &Query, view: &View) -> Result<Arc<Client>, NoProxy> {
    let Some(id) = query.get("proxyID").filter(|id| !id.is_empty()) else {
        return Err(NoProxy::Unnamed);
    };
    let wanted = |client: &Arc<Client>| client.connection_id().contains(id.as_str()) && view.shows(client);
    clients.list().into_iter().find(wanted).ok_or(NoProxy::NotConnected)
}

/// RFC 3339 with nanoseconds, as Go prints it.
pub(crate) fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).map(|t| t.to_string()).unwrap_or_default()
}

/// The namespace that a client says it is in, which its identity must fit.
pub(crate) fn namespace(client: &Client) -> String {
    let said = metadata(client, "NAMESPACE");
    if !said.is_empty() {
        return said;
    }
    client.proxy_name().rsplit_once('.').map(|(_, namespace)| namespace.to_owned()).unwrap_or_default()
}

/// A text of the node's metadata.
pub(crate) fn metadata(client: &Client, key: &str) -> String {
    let value = client.node().metadata.as_ref().map(api::json::struct_json).unwrap_or_default();
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

async fn syncz(State(clients): State<Clients>, query: Query) -> Response {
    let wanted = query.get("namespace").cloned().unwrap_or_default();
    let list = clients.list();
    let mut rows: Vec<Value> = list
        .iter()
        .filter(|c| wanted.is_empty() || metadata(c, "NAMESPACE") == wanted)
        .map(|c| sync_status(c))
        .collect();
    let key =
        |row: &Value, field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    rows.sort_by_key(|r| (key(r, "cluster_id"), key(r, "proxy")));
    answer::json(&Value::Array(rows), &query)
}

/// One proxy as `istioctl proxy-status` reads it: nonces by type under old names, and all of it by type URL.
fn sync_status(client: &Client) -> Value {
    let mut row = Map::new();
    let id = client.node().id.split('~').nth(2).unwrap_or_default().to_owned();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            row.insert(key.to_owned(), Value::String(value));
        }
    };
    put("cluster_id", metadata(client, "CLUSTER_ID"));
    put("proxy", id);
    put("proxy_type", client.node().id.split('~').next().unwrap_or_default().to_owned());
    put("istio_version", metadata(client, "ISTIO_VERSION"));
    let mut resources = Map::new();
    for watch in client.status().stream.watches {
        let sent = watch.sent.as_ref().map(|s| s.nonce.clone()).unwrap_or_default();
        let acked = watch.acked.as_ref().map(|s| s.nonce.clone()).unwrap_or_default();
        if let Some(name) = old_name(watch.kind) {
            put(&format!("{name}_sent"), sent.clone());
            put(&format!("{name}_acked"), acked.clone());
        }
        let at = watch
            .sent
            .as_ref()
            .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |s| time(client.wall(s.at)));
        let mut entry = json!({"sent": sent, "acked": acked, "sentTime": at});
        if let (Some(error), Some(entry)) = (watch.last_error, entry.as_object_mut()) {
            entry.insert("lastError".to_owned(), Value::String(error));
        }
        resources.insert(watch.kind.type_url().to_owned(), entry);
    }
    row.insert("resources".to_owned(), Value::Object(resources));
    Value::Object(row)
}

fn old_name(kind: ResourceType) -> Option<&'static str> {
    Some(match kind {
        ResourceType::Cluster => "cluster",
        ResourceType::Endpoints => "endpoint",
        ResourceType::Listener => "listener",
        ResourceType::Route => "route",
        ResourceType::ExtensionConfig => "extensionconfig",
        ResourceType::Secret | ResourceType::NameTable | ResourceType::ProxyConfig => return None,
    })
}

async fn adsz(State(clients): State<Clients>, query: Query) -> Response {
    let wanted = query.get("proxyID").cloned().unwrap_or_default();
    let list = clients.list();
    let shown = list.iter().filter(|c| c.connection_id().contains(&wanted)).map(|c| {
        let node = c.node();
        let metadata = node.metadata.as_ref().map(api::json::struct_json).unwrap_or_default();
        let watches: Map<String, Value> = ResourceType::ALL
            .into_iter()
            .map(|kind| (kind, c.watched_names(kind)))
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| {
                (kind.type_url().to_owned(), names.iter().map(|n| Value::from(&**n)).collect())
            })
            .collect();
        let mut row = connection(c);
        if let Some(row) = row.as_object_mut() {
            row.insert("labels".to_owned(), metadata.get("LABELS").cloned().unwrap_or_else(|| json!({})));
            row.insert("metadata".to_owned(), metadata);
            row.insert(
                "locality".to_owned(),
                node.locality.as_ref().map(api::json::to_json).unwrap_or_default(),
            );
            row.insert("watches".to_owned(), Value::Object(watches));
            row.insert("status".to_owned(), serde_json::to_value(c.status()).unwrap_or_default());
        }
        row
    });
    let shown: Vec<Value> = shown.collect();
    answer::json(&json!({"totalClients": list.len(), "clients": shown}), &query)
}

async fn connections(State(clients): State<Clients>, query: Query) -> Response {
    let list = clients.list();
    let shown: Vec<Value> = list.iter().map(|c| connection(c)).collect();
    answer::json(&json!({"totalClients": list.len(), "clients": shown}), &query)
}

fn connection(client: &Client) -> Value {
    let address = client.peer().address.map(|a| a.to_string()).unwrap_or_default();
    json!({"connectionId": client.connection_id(), "connectedAt": time(client.connected_at()), "address": address})
}
