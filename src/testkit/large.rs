//! A large made-up mesh as objects, for benchmarks: the shape of `e2e/tools/genmesh.py`.

use std::sync::Arc;

use anyhow::Result;
use api::decode::decode;
use api::{AnyObject, ObjectKey};
use model::Proxy;
use model::endpoint::Locality;
use serde_json::{Value, json};

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Namespaces.
    pub namespaces: usize,
    /// Services of each; every second one has a VirtualService and a DestinationRule.
    pub services: usize,
    /// Pods of each service.
    pub pods: usize,
}

impl Default for Size {
    /// 1,000 services in 100 namespaces, 4,000 pods.
    fn default() -> Self {
        Self { namespaces: 100, services: 10, pods: 4 }
    }
}

/// All objects of a mesh.
///
/// # Errors
/// An object cannot be decoded.
pub fn objects(size: Size) -> Result<Vec<(ObjectKey, AnyObject)>> {
    let mut values = Vec::new();
    for n in 0..size.namespaces {
        values.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n)}}));
        for s in 0..size.services {
            values.push(service(size, n, s));
            values.extend((0..size.pods).map(|p| pod(size, n, s, p)));
            values.push(slice(size, n, s, 0));
            if s % 2 == 0 {
                values.push(virtual_service(n, s, "beta"));
                values.push(destination_rule(n, s));
            }
        }
    }
    values.into_iter().map(object).collect()
}

/// An object from its JSON, with its key.
///
/// # Errors
/// It cannot be decoded.
pub fn object(value: Value) -> Result<(ObjectKey, AnyObject)> {
    let object = decode(value)?.object;
    Ok((object.key(), object))
}

/// The sidecar of a namespace's first pod.
///
/// # Errors
/// Its id is malformed.
pub fn sidecar(size: Size, n: usize) -> Result<Proxy> {
    let (name, address) = (namespace(n), address(size, n, 0, 0));
    let id = format!("sidecar~{address}~svc-00-0.{name}~{name}.svc.cluster.local");
    let metadata = json!({"CLUSTER_ID": "Kubernetes", "LABELS": {"app": "svc-00", "version": "v1"}});
    Ok(Proxy::parse(&id, &metadata, Locality::default())?)
}

/// The name of a namespace.
pub fn namespace(n: usize) -> Arc<str> {
    format!("team-{n:03}").into()
}

fn name(s: usize) -> String {
    format!("svc-{s:02}")
}

fn metadata(name: &str, n: usize) -> Value {
    labeled(name, n, &json!({}))
}

fn labeled(name: &str, n: usize, labels: &Value) -> Value {
    json!({"name": name, "namespace": &*namespace(n), "labels": labels})
}

fn address(size: Size, n: usize, s: usize, p: usize) -> String {
    let at = (n * size.services + s) * size.pods + p;
    format!("10.{}.{}.{}", 20 + at / 62500, (at / 250) % 250, 1 + at % 250)
}

/// A service.
pub fn service(size: Size, n: usize, s: usize) -> Value {
    let at = n * size.services + s;
    let ports = json!([
        {"name": "http", "port": 8080}, {"name": "grpc", "port": 9090}, {"name": "tcp", "port": 6379}
    ]);
    let address = format!("10.96.{}.{}", 10 + at / 250, 1 + at % 250);
    let spec = json!({"clusterIP": address, "selector": {"app": name(s)}, "ports": ports});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(&name(s), n), "spec": spec})
}

/// A pod of a service.
pub fn pod(size: Size, n: usize, s: usize, p: usize) -> Value {
    let version = format!("v{}", 1 + p % 2);
    let labels = json!({"app": name(s), "version": version, "security.istio.io/tlsMode": "istio"});
    let metadata = labeled(&format!("{}-{p}", name(s)), n, &labels);
    let ip = address(size, n, s, p);
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready});
    let spec = json!({"serviceAccountName": name(s), "containers": [{"name": "app", "image": "app"}]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
}

/// The endpoints of a service; with `moved` they have addresses of their own.
pub fn slice(size: Size, n: usize, s: usize, moved: usize) -> Value {
    let labels = json!({"kubernetes.io/service-name": name(s)});
    let metadata = labeled(&format!("{}-1", name(s)), n, &labels);
    let endpoint = |p: usize| match moved {
        0 => json!({
            "addresses": [address(size, n, s, p)], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": format!("{}-{p}", name(s)), "namespace": &*namespace(n)}
        }),
        moved => json!({"addresses": [format!("10.99.{moved}.{p}")], "conditions": {"ready": true}}),
    };
    let endpoints: Vec<Value> = (0..size.pods).map(endpoint).collect();
    let ports = json!([{"name": "http", "port": 8080}, {"name": "grpc", "port": 9090}, {"name": "tcp", "port": 6379}]);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": "IPv4", "ports": ports, "endpoints": endpoints
    })
}

/// The rules of a service; `user` is a header's value that they look for.
pub fn virtual_service(n: usize, s: usize, user: &str) -> Value {
    let to = |subset: &str| json!({"host": name(s), "subset": subset});
    let special = json!({
        "match": [{"headers": {"x-user": {"exact": user}}}], "route": [{"destination": to("v2")}]
    });
    let usual = json!({
        "route": [{"destination": to("v1"), "weight": 80}, {"destination": to("v2"), "weight": 20}],
        "timeout": "5s", "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"}
    });
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata(&name(s), n),
        "spec": {"hosts": [name(s)], "http": [special, usual]}
    })
}

/// The rule that names a service's subsets.
pub fn destination_rule(n: usize, s: usize) -> Value {
    let subset = |v: &str| json!({"name": v, "labels": {"version": v}});
    let policy = json!({
        "connectionPool": {"http": {"http2MaxRequests": 1000}}, "outlierDetection": {"consecutive5xxErrors": 5}
    });
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata(&name(s), n),
        "spec": {"host": name(s), "trafficPolicy": policy, "subsets": [subset("v1"), subset("v2")]}
    })
}
