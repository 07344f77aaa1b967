//! A mesh from YAML text, and what a proxy gets from it, in process: no server, no sockets.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use api::decode::{DecodeError, decode, items};
use envoy::config::route::v3::RouteConfiguration;
use envoy::istio::networking::nds::v1::NameTable;
use model::endpoint::Locality;
use model::{Mesh, Proxy};
use serde_json::Value;
use store::{Options, Tables};
use translate::endpoints::LOCAL_CLUSTER;
use translate::names::{self, NameTableKey};
use translate::{
    Class, Key, Plan, class, clusters, endpoints, listeners, plan, routes, secrets, slots, trust,
};

use crate::compare::Dump;

/// The documents of a YAML stream.
///
/// # Errors
/// The text is not YAML.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    let docs: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    Ok(docs.into_iter().filter(|d| !d.is_null()).collect())
}

/// The tables after all documents of the YAML streams were applied. As from any source, of policies that cannot be decoded
/// what denies in their place is taken.
///
/// # Errors
/// A document cannot be read, or not be decoded and is no policy.
pub fn tables(options: Options, streams: &[&str]) -> Result<Tables> {
    let mut tables = Tables::new(options);
    for stream in streams {
        for doc in documents(stream)? {
            for item in items(doc) {
                let object = match decode(item.clone()) {
                    Ok(decoded) => decoded.object,
                    Err(DecodeError::Field { stand_in: Some(object), .. })
                        if object.consequence().is_some() =>
                    {
                        *object
                    }
                    Err(error) => return Err(error).with_context(|| item.to_string()),
                };
                tables.apply(&object.key(), Some(&object));
            }
        }
    }
    Ok(tables)
}

/// The mesh of the YAML streams, with default options.
///
/// # Errors
/// As [`tables`].
pub fn mesh(streams: &[&str]) -> Result<Arc<Mesh>> {
    Ok(tables(Options::default(), streams)?.next_mesh().mesh)
}

/// A Service that many meshes hold: `web` in `shop` at 10.96.0.1, HTTP on port 80.
pub const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
";

/// The proxy of a pod, given as `NAME.NAMESPACE`, in the domain of its namespace and in no locality; `kind` is `sidecar`
/// or `router`.
///
/// # Errors
/// The parts make no node id, or the metadata cannot be read.
pub fn proxy(kind: &str, ip: &str, pod: &str, metadata: &Value) -> Result<Proxy> {
    let namespace = pod.rsplit_once('.').map_or("", |(_, namespace)| namespace);
    let id = format!("{kind}~{ip}~{pod}~{namespace}.svc.cluster.local");
    Ok(Proxy::parse(&id, metadata, Locality::default())?)
}

/// The plans of a proxy, lowest layer first.
pub fn plans(mesh: &Mesh, proxy: &Proxy) -> Vec<Arc<Plan>> {
    let mut plans: Vec<(Class, Arc<Plan>)> = Vec::new();
    for class in class::classes(mesh, proxy) {
        let below = class.below().and_then(|below| plans.iter().find(|(known, _)| *known == below));
        let plan = plan::plan(mesh, &class, None, false, below.map(|(_, plan)| &**plan));
        plans.push((class, plan));
    }
    plans.into_iter().map(|(_, plan)| plan).collect()
}

/// Types and names of resources, with their keys.
pub type Planned = BTreeMap<(&'static str, Arc<str>), Key>;

/// What a proxy gets, by type and name, before it is built.
pub fn planned(mesh: &Mesh, proxy: &Proxy) -> Planned {
    let mut planned = Planned::new();
    for plan in plans(mesh, proxy) {
        let hidden = [
            ("cds", &plan.hidden_clusters),
            ("eds", &plan.hidden_endpoints),
            ("lds", &plan.hidden_listeners),
        ];
        for (kind, names) in hidden {
            names.iter().for_each(|name| drop(planned.remove(&(kind, Arc::clone(name)))));
        }
        let kinds = [
            ("cds", &plan.clusters),
            ("eds", &plan.endpoints),
            ("lds", &plan.listeners),
            ("rds", &plan.routes),
            ("sds", &plan.secrets),
        ];
        for (kind, entries) in kinds {
            planned.extend(entries.iter().map(|(name, key)| ((kind, Arc::clone(name)), key.clone())));
        }
    }
    planned
}

/// All that a proxy gets, as canonical JSON by type and name.
pub fn dump(mesh: &Mesh, proxy: &Proxy) -> Dump {
    let mut dump = Dump::new();
    let values = slots::values(mesh, proxy);
    for ((kind, name), key) in planned(mesh, proxy) {
        let mut json = build(&key);
        fill(&mut json, &values);
        dump.entry(kind.to_owned()).or_default().insert(name.to_string(), json);
    }
    asked_for(&mut dump);
    dump
}

fn build(key: &Key) -> Value {
    match key {
        Key::Cluster(k) => api::json::to_json(&clusters::build(k).message),
        Key::Endpoints(k) => api::json::to_json(&endpoints::build(k).message),
        Key::Listener(k) => api::json::to_json(&listeners::build(k).message),
        Key::Route(k) => {
            let head = routes::build_head(k).message;
            let virtual_hosts =
                k.virtual_hosts.iter().map(|v| routes::build_virtual_host(v).message).collect();
            api::json::to_json(&RouteConfiguration { virtual_hosts, ..head })
        }
        Key::Names(k) => api::json::to_json(&table(k)),
        Key::Secret(k) => api::json::to_json(&secrets::build(k).message),
        Key::Trust(k) => api::json::to_json(&trust::build(k).message),
    }
}

/// The table of names of a proxy.
pub fn name_table(mesh: &Mesh, proxy: &Proxy) -> NameTable {
    let plans = plans(mesh, proxy);
    let entry = plans.iter().rev().find_map(|plan| plan.names.first());
    match entry {
        Some((_, Key::Names(key))) => table(key),
        _ => NameTable::default(),
    }
}

/// What a reader makes of the parts, one after the other.
fn table(key: &NameTableKey) -> NameTable {
    NameTable { table: key.parts.iter().flat_map(|part| names::build(part).message.table).collect() }
}

/// Puts a proxy's values in place of the placeholders.
fn fill(json: &mut Value, values: &[String]) {
    match json {
        Value::String(text) => {
            let at = (0u16..).zip(values).find(|(i, _)| *text == slots::placeholder(*i));
            if let Some((_, value)) = at {
                text.clone_from(value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| fill(v, values)),
        Value::Object(map) => map.values_mut().for_each(|v| fill(v, values)),
        _ => {}
    }
}

/// Leaves only the assignments and routes that the clusters and listeners ask for, and adds the empty ones that a
/// server answers for names that are not there.
fn asked_for(dump: &mut Dump) {
    let mut wanted: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    let mut clusters = Vec::new();
    for cluster in dump.get("cds").into_iter().flat_map(|d| d.values()) {
        if let Some(eds) = cluster.get("edsClusterConfig") {
            let name = eds.get("serviceName").or_else(|| cluster.get("name"));
            clusters.extend(name.and_then(Value::as_str).map(str::to_owned));
        }
    }
    // A cluster of the bootstrap.
    let local = dump.get("eds").is_some_and(|have| have.contains_key(LOCAL_CLUSTER));
    clusters.extend(local.then(|| LOCAL_CLUSTER.to_owned()));
    let mut routes = Vec::new();
    dump.get("lds").into_iter().flat_map(|d| d.values()).for_each(|l| route_names(l, &mut routes));
    for (kind, names, empty) in [("eds", clusters, "clusterName"), ("rds", routes, "name")] {
        let have = dump.remove(kind).unwrap_or_default();
        let asked = names.into_iter().map(|name| {
            let value = have.get(&name).cloned().unwrap_or_else(|| serde_json::json!({ empty: name }));
            (name, value)
        });
        wanted.insert(kind, asked.collect());
    }
    for (kind, resources) in wanted {
        if !resources.is_empty() {
            dump.insert(kind.to_owned(), resources);
        }
    }
}

fn route_names(json: &Value, names: &mut Vec<String>) {
    match json {
        Value::Object(map) => {
            if let Some(name) = map.get("rds").and_then(|r| r.get("routeConfigName")).and_then(Value::as_str)
            {
                names.push(name.to_owned());
            }
            map.values().for_each(|v| route_names(v, names));
        }
        Value::Array(list) => list.iter().for_each(|v| route_names(v, names)),
        _ => {}
    }
}
