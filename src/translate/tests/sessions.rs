//! Sessions that stay with an endpoint: of services by themselves, and of the destinations of rules.

use std::error::Error;

use model::Proxy;
use model::endpoint::Locality;
use model::mesh::Features;
use serde_json::{Value, json};
use store::Options;
use testkit::mesh::{dump, tables};

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, labels: {istio.io/persistent-session: 'sid:/cart'}}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop, labels: {istio.io/persistent-session-header: x-session}}
spec: {clusterIP: 10.96.0.11, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.12, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /}
  - route: [{destination: {host: web}, weight: 1}, {destination: {host: pay}, weight: 1}, {destination: {host: cart}, weight: 1}]
";

/// The virtual hosts of port 80 of a sidecar: name and content.
fn hosts(filter: bool) -> Result<Vec<(String, Value)>, Box<dyn Error>> {
    let features = Features { persistent_session_filter: filter, ..Features::default() };
    let mesh = tables(Options { features, ..Options::default() }, &[SHOP])?.next_mesh().mesh;
    let proxy =
        Proxy::parse("sidecar~10.1.0.2~web-1.shop~shop.svc.cluster.local", &json!({}), Locality::default())?;
    let dump = dump(&mesh, &proxy);
    let routes = dump.get("rds").and_then(|routes| routes.get("80"));
    let hosts = routes.and_then(|r| r.pointer("/virtualHosts")).and_then(Value::as_array).cloned();
    let name = |host: &Value| host.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(hosts.unwrap_or_default().into_iter().map(|host| (name(&host), host)).collect())
}

fn session(of: &Value) -> Value {
    of.pointer(
        "/typedPerFilterConfig/envoy.filters.http.stateful_session/statefulSession/sessionState/typedConfig",
    )
    .cloned()
    .unwrap_or_default()
}

fn named(hosts: &[(String, Value)], name: &str) -> Value {
    hosts.iter().find(|(n, _)| n.starts_with(name)).map(|(_, host)| host.clone()).unwrap_or_default()
}

#[test]
fn the_label_of_a_service_says_by_what_its_sessions_are_known() -> Result<(), Box<dyn Error>> {
    let hosts = hosts(true)?;
    assert_eq!(session(&named(&hosts, "cart."))["cookie"], json!({"name": "sid", "path": "/cart"}));
    assert_eq!(session(&named(&hosts, "pay."))["name"], "x-session");
    let web = named(&hosts, "web.");
    assert_eq!(session(&web), Value::Null);
    assert_eq!(session(&web["routes"][0]), Value::Null, "a redirect leads to no endpoint");
    assert_eq!(session(&web["routes"][1])["name"], "x-session", "the first of several");
    Ok(())
}

#[test]
fn without_the_filter_nothing_configures_it() -> Result<(), Box<dyn Error>> {
    let text = format!("{:?}", hosts(false)?);
    assert!(!text.contains("stateful_session"), "{text}");
    Ok(())
}
