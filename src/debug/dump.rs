//! What a proxy is to have: `/debug/config_dump`, `/debug/edsz`, `/debug/ndsz`, and `/debug/sources`, where each resource comes from.
//!
//! Source: `shared/spec/operations.md` 1.3. Shape: Envoy's `envoy.admin.v3.ConfigDump`.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};
use xds::kind::ResourceType;
use xds::server::{Client, Clients};

use crate::Surface;
use crate::access::View;
use crate::answer::{self, Query};
use crate::clients::find;
use crate::redact;

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new()
        .route("/debug/config_dump", get(config_dump))
        .route("/debug/edsz", get(edsz))
        .route("/debug/ndsz", get(ndsz))
        .route("/debug/sources", get(sources))
        .with_state(surface.clients.clone())
}

async fn config_dump(
    State(clients): State<Clients>,
    Extension(view): Extension<View>,
    query: Query,
) -> Response {
    let client = match find(&clients, &query, &view) {
        Ok(client) => client,
        Err(refusal) => return refusal.into_response(),
    };
    if let Some(types) = query.get("types").filter(|t| !t.is_empty()) {
        let wanted = |k: &ResourceType| types.split(',').any(|t| t.eq_ignore_ascii_case(k.short_name()));
        return of_types(&client, ResourceType::ALL.into_iter().filter(wanted), &query);
    }
    let configs = configs(&client, query.contains_key("include_eds"));
    answer::json(&json!({"configs": configs}), &query)
}

/// The parts of a proxy's dump, in the order in which Envoy has them.
pub(crate) fn configs(client: &Client, with_endpoints: bool) -> Vec<Value> {
    let mut configs = vec![
        json!({"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump"}),
        section(client, ResourceType::Cluster, "ClustersConfigDump", "dynamicActiveClusters", "cluster"),
    ];
    if with_endpoints {
        configs.push(section(
            client,
            ResourceType::Endpoints,
            "EndpointsConfigDump",
            "dynamicEndpointConfigs",
            "endpointConfig",
        ));
    }
    configs.push(listeners(client));
    configs.push(json!({"@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump"}));
    configs.push(section(
        client,
        ResourceType::Route,
        "RoutesConfigDump",
        "dynamicRouteConfigs",
        "routeConfig",
    ));
    configs.push(secrets(client));
    configs
}

/// The resources of these types as they are.
fn of_types(client: &Client, kinds: impl Iterator<Item = ResourceType>, query: &Query) -> Response {
    let configs: Vec<Value> = kinds.flat_map(|k| resources(client, k)).map(|(_, _, r)| r).collect();
    answer::json(&json!({"configs": configs}), query)
}

/// The table of names that the agent answers DNS queries from.
async fn ndsz(State(clients): State<Clients>, Extension(view): Extension<View>, query: Query) -> Response {
    match find(&clients, &query, &view) {
        Ok(client) => of_types(&client, [ResourceType::NameTable].into_iter(), &query),
        Err(refusal) => refusal.into_response(),
    }
}

async fn edsz(State(clients): State<Clients>, Extension(view): Extension<View>, query: Query) -> Response {
    match find(&clients, &query, &view) {
        Ok(client) => {
            let dump = section(
                &client,
                ResourceType::Endpoints,
                "EndpointsConfigDump",
                "dynamicEndpointConfigs",
                "endpointConfig",
            );
            answer::json(&json!({"configs": [dump]}), &query)
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The resources of a type: name, version, and the resource itself as JSON.
fn resources(client: &Client, kind: ResourceType) -> Vec<(String, String, Value)> {
    let sets = client.sets();
    let set = sets.get(kind);
    let full_name = kind.type_url().trim_start_matches("type.googleapis.com/");
    set.iter()
        .map(|entry| {
            let mut body = entry.body(set.slots());
            if kind == ResourceType::Secret {
                body = redact::secret(&body);
            }
            let json = api::json::to_json_bytes(full_name, &body);
            let mut json = json.unwrap_or_else(|error| json!({"error": error.to_string()}));
            if let Some(object) = json.as_object_mut() {
                object.insert("@type".to_owned(), Value::from(kind.type_url()));
            }
            (entry.name().to_string(), set.version(entry).to_string(), json)
        })
        .collect()
}

fn section(client: &Client, kind: ResourceType, message: &str, list: &str, field: &str) -> Value {
    let entries: Vec<Value> = resources(client, kind)
        .into_iter()
        .map(|(_, version, resource)| json!({"versionInfo": version, field: resource}))
        .collect();
    json!({"@type": format!("type.googleapis.com/envoy.admin.v3.{message}"), list: entries})
}

fn secrets(client: &Client) -> Value {
    let entries: Vec<Value> = resources(client, ResourceType::Secret)
        .into_iter()
        .map(|(name, version, secret)| json!({"name": name, "versionInfo": version, "secret": secret}))
        .collect();
    json!({"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "dynamicActiveSecrets": entries})
}

fn listeners(client: &Client) -> Value {
    let entries: Vec<Value> = resources(client, ResourceType::Listener)
        .into_iter()
        .map(|(name, version, listener)| {
            json!({"name": name, "activeState": {"versionInfo": version, "listener": listener}})
        })
        .collect();
    json!({"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamicListeners": entries})
}

/// The objects that each resource of a proxy comes from; `resource=` limits it to names that contain a text.
async fn sources(State(clients): State<Clients>, Extension(view): Extension<View>, query: Query) -> Response {
    let client = match find(&clients, &query, &view) {
        Ok(client) => client,
        Err(refusal) => return refusal.into_response(),
    };
    let wanted = query.get("resource").cloned().unwrap_or_default();
    let sets = client.sets();
    let mut rows = Vec::new();
    for kind in ResourceType::ALL {
        let set = sets.get(kind);
        for entry in set.iter().filter(|e| e.name().contains(&wanted)) {
            let from: Vec<String> =
                entry.sources().map(|s| format!("{} (generation {})", s.key, s.generation)).collect();
            let problems: Vec<String> = entry.problems().map(ToString::to_string).collect();
            rows.push(json!({"type": kind.short_name(), "name": &**entry.name(), "sources": from, "problems": problems}));
        }
    }
    answer::json(&Value::Array(rows), &query)
}
