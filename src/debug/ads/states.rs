//! Proxies in the messages of Envoy's own: how far each is, and what it is to have.
//!
//! Source: `shared/spec/operations.md` 2.2.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use xds::protocol::WatchStatus;
use xds::server::Client;

use crate::clients::{metadata, time};
use crate::dump;

/// How far a proxy is, under its name; none for a client that is no proxy, such as `istioctl` itself.
pub(super) fn of(client: &Client) -> Option<(String, Bytes)> {
    client.node().metadata.as_ref()?.fields.get("PROXY_CONFIG")?;
    let said =
        ["CLUSTER_ID", "NAMESPACE", "ISTIO_VERSION"].map(|key| (key.to_owned(), metadata(client, key)));
    let said: Map<String, Value> = said
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key, value.into()))
        .collect();
    let mut types: Vec<Value> =
        client.status().stream.watches.iter().map(|watch| state(client, watch)).collect();
    types.sort_by_key(|state| state.get("typeUrl").map(Value::to_string));
    let state = json!({
        "@type": "type.googleapis.com/envoy.service.status.v3.ClientConfig",
        "node": {"id": client.proxy_name(), "metadata": said},
        "genericXdsConfigs": types,
    });
    Some((client.proxy_name().to_owned(), any(&state)?))
}

fn state(client: &Client, watch: &WatchStatus) -> Value {
    let status = match (&watch.last_error, &watch.sent, &watch.acked) {
        (Some(_), ..) => "ERROR",
        (None, None, _) => "NOT_SENT",
        (None, Some(sent), Some(acked)) if sent.nonce == acked.nonce => "SYNCED",
        (None, Some(_), _) => "STALE",
    };
    let mut state = json!({"typeUrl": watch.kind.type_url(), "configStatus": status});
    if let (Some(state), Some(sent)) = (state.as_object_mut(), &watch.sent) {
        state.insert("lastUpdated".to_owned(), time(client.wall(sent.at)).into());
    }
    if let (Some(state), Some(error)) = (state.as_object_mut(), &watch.last_error) {
        let mut failure = json!({"details": error});
        if let (Some(failure), Some(at)) = (failure.as_object_mut(), watch.error_at) {
            failure.insert("lastUpdateAttempt".to_owned(), time(client.wall(at)).into());
        }
        state.insert("errorState".to_owned(), failure);
    }
    state
}

/// The parts of a proxy's configuration dump, all under the proxy's name.
pub(super) fn dump(client: &Client) -> Vec<(String, Bytes)> {
    let parts = dump::configs(client, false);
    parts.iter().filter_map(|part| Some((client.proxy_name().to_owned(), any(part)?))).collect()
}

/// An `Any` of its JSON form.
fn any(json: &Value) -> Option<Bytes> {
    match api::json::from_json("google.protobuf.Any", json, false) {
        Ok(any) => Some(any.into()),
        Err(error) => {
            tracing::error!(%error, "a state that is shown cannot be encoded");
            None
        }
    }
}
