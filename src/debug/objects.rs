//! What the mesh is made of: `/debug/configz`, `registryz`, `endpointz`, `mesh`, `problems`, `leaders`.
//!
//! Source: `shared/spec/operations.md` 1.3.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use api::Kind;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use model::endpoint::{Address, Endpoint};
use model::service::Service;
use model::{Config, Mesh, Ref};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Surface;
use crate::answer::{self, Query};

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new()
        .route("/debug/configz", get(configz))
        .route("/debug/registryz", get(registryz))
        .route("/debug/endpointz", get(endpointz))
        .route("/debug/endpointShardz", get(endpointz))
        .route("/debug/mesh", get(mesh_config))
        .route("/debug/problems", get(problems))
        .route("/debug/leaders", get(leaders))
        .with_state(surface.clone())
}

async fn configz(State(surface): State<Surface>, query: Query) -> Response {
    let mesh = (surface.mesh)();
    let mut all = Vec::new();
    all.extend(mesh.virtual_services.all().iter().map(|v| object(Kind::VirtualService, &v.config)));
    let mut rules: Vec<&Ref<Config<_>>> = mesh.destination_rules.all().map(|r| &r.rule).collect();
    rules.sort_by(|a, b| a.source.cmp(&b.source));
    rules.dedup_by(|a, b| a.source == b.source);
    all.extend(rules.into_iter().map(|o| object(Kind::DestinationRule, o)));
    all.extend(mesh.gateways.iter().map(|o| object(Kind::Gateway, o)));
    all.extend(mesh.sidecars.iter().map(|o| object(Kind::Sidecar, o)));
    all.extend(mesh.peer_authentications.iter().map(|o| object(Kind::PeerAuthentication, o)));
    all.extend(mesh.request_authentications.iter().map(|o| object(Kind::RequestAuthentication, o)));
    all.extend(mesh.authorization_policies.iter().map(|o| object(Kind::AuthorizationPolicy, o)));
    let entries = mesh.workloads.entries.values().flat_map(|list| list.iter());
    all.extend(entries.map(|o| object(Kind::WorkloadEntry, o)));
    answer::json(&Value::Array(all), &query)
}

/// An object in the shape in which Kubernetes has it; what was made of an Ingress looks as if its user had written it.
fn object<S: Serialize + Hash>(kind: Kind, config: &Ref<Config<S>>) -> Value {
    let version = kind.versions().first().copied().unwrap_or("v1");
    json!({
        "kind": kind.to_string(),
        "apiVersion": format!("{}/{version}", kind.group()),
        "metadata": {
            "name": &**config.name(), "namespace": &**config.namespace(), "generation": config.source.generation,
            "labels": config.labels, "annotations": config.annotations,
        },
        "spec": serde_json::to_value(&config.spec).unwrap_or_default(),
    })
}

async fn registryz(State(surface): State<Surface>, query: Query) -> Response {
    let mesh = (surface.mesh)();
    let services = mesh.services.all().iter().map(|s| service(s, &mesh.settings.cluster));
    answer::json(&Value::Array(services.collect()), &query)
}

fn texts(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

fn service(service: &Service, home: &str) -> Value {
    let ports = service.ports.iter().map(|p| {
        json!({"name": &*p.name, "port": p.number, "protocol": format!("{:?}", p.protocol).to_uppercase()})
    });
    let own = (!service.remote_only && !service.addresses.is_empty())
        .then(|| (home.to_owned(), json!(texts(&service.addresses))));
    let remote = service.remotes.iter().map(|(name, s)| (name.to_string(), json!(texts(&s.addresses))));
    let addresses: Map<String, Value> = own.into_iter().chain(remote).collect();
    let mut shown = json!({
        "hostname": &*service.host,
        "Attributes": {
            "ServiceRegistry": format!("{:?}", service.registry), "Name": &*service.name,
            "Namespace": &*service.namespace, "Labels": service.labels, "LabelSelectors": service.selector,
        },
        "ports": Value::from_iter(ports),
        "defaultAddress": service.addresses.first().map_or("0.0.0.0", |a| a),
        "clusterVIPs": {"Addresses": addresses},
        "Resolution": format!("{:?}", service.resolution),
        "MeshExternal": service.mesh_external,
    });
    for address in &service.auto_addresses {
        let family =
            if address.contains(':') { "autoAllocatedIPv6Address" } else { "autoAllocatedIPv4Address" };
        if let Some(members) = shown.as_object_mut() {
            members.insert(family.to_owned(), Value::from(&**address));
        }
    }
    shown
}

async fn endpointz(State(surface): State<Surface>, query: Query) -> Response {
    let mesh = (surface.mesh)();
    let mut hosts: Map<String, Value> = Map::new();
    for ((host, namespace), endpoints) in &mesh.endpoints.by_service {
        let mut shards: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        shards.entry(shard(&mesh.settings.cluster)).or_default();
        for one in endpoints.endpoints.iter() {
            shards.entry(shard(&one.workload.cluster)).or_default().push(endpoint(one));
        }
        let accounts: Map<String, Value> =
            endpoints.identities.iter().map(|i| (i.to_string(), json!({}))).collect();
        let entry = json!({"Shards": shards, "ServiceAccounts": accounts});
        let of_host = hosts.entry(host.to_string()).or_insert_with(|| json!({}));
        if let Some(of_host) = of_host.as_object_mut() {
            of_host.insert(namespace.to_string(), entry);
        }
    }
    answer::json(&Value::Object(hosts), &query)
}

/// The reference's name of what it has from a cluster.
fn shard(cluster: &str) -> String {
    format!("Kubernetes/{cluster}")
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let address = match &endpoint.address {
        Address::Ip(a) | Address::Host(a) | Address::Pipe(a) => a,
    };
    let workload = &endpoint.workload;
    json!({
        "Addresses": [&**address], "EndpointPort": endpoint.port, "ServicePortName": &*endpoint.port_name,
        "Labels": workload.labels, "ServiceAccount": &*workload.identity, "Network": &*workload.network,
        "Locality": {"Label": workload.locality.label(), "ClusterID": &*workload.cluster},
        "LbWeight": endpoint.weight, "TLSMode": format!("{:?}", workload.tls_mode).to_lowercase(),
        "Namespace": &*workload.namespace, "WorkloadName": &*workload.name, "NodeName": &*workload.node,
        "HealthStatus": format!("{:?}", endpoint.health),
    })
}

async fn mesh_config(State(surface): State<Surface>, query: Query) -> Response {
    let mesh: Arc<Mesh> = (surface.mesh)();
    answer::json(&serde_json::to_value(&*mesh.settings.mesh).unwrap_or_default(), &query)
}

/// What is wrong with the configuration now, a line each; nothing if nothing is.
async fn problems(State(surface): State<Surface>) -> Response {
    let mut lines = (surface.sources)();
    lines.extend((surface.problems)());
    answer::lines(&lines)
}

/// Who holds each lock for which this replica stands; nothing where there are no elections.
async fn leaders(State(surface): State<Surface>) -> Response {
    answer::lines(&(surface.leaders)())
}
