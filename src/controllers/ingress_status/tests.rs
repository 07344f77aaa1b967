//! Which addresses are written to which Ingresses; and the controller against an API server in memory.

use std::time::Duration;

use api::Kind;
use futures::FutureExt;
use serde_json::{Value, json};
use sources::event::Event;
use sources::feed::Listener;
use testkit::kubernetes::FakeServer;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::discovered::namespaces;
use crate::testing::{SYSTEM, cluster};

const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";

fn event(document: &Value) -> Event {
    let object = api::decode::decode(document.clone()).expect("an object").object;
    Event { key: object.key(), object: Some(Arc::new(object)) }
}

fn gone(kind: Kind, namespace: &str, name: &str) -> Event {
    Event { key: ObjectKey { kind, namespace: namespace.into(), name: name.into() }, object: None }
}

fn ingress(name: &str, class: Option<&str>) -> Value {
    let annotations = class.map(|class| json!({"kubernetes.io/ingress.class": class}));
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"ingressClassName": "main"},
    })
}

fn class(controller: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "main"}, "spec": {"controller": controller},
    })
}

fn service(name: &str, spec: &Value, balanced: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SYSTEM},
        "spec": spec, "status": {"loadBalancer": {"ingress": balanced}},
    })
}

fn pod(name: &str, phase: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": SYSTEM, "labels": {"istio": "ingressgateway"}},
        "spec": {"nodeName": node}, "status": {"phase": phase},
    })
}

fn node(name: &str, addresses: &[(&str, &str)]) -> Value {
    let addresses: Vec<Value> =
        addresses.iter().map(|(kind, address)| json!({"type": kind, "address": address})).collect();
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": addresses}})
}

/// What is to be written when these objects are there, a line each.
fn wanted(mesh: MeshConfig, documents: &[Value]) -> Vec<String> {
    let feed = feed(SYSTEM);
    feed.take(&documents.iter().map(event).collect::<Vec<_>>());
    feed.complete();
    let mut plan = Plan::new(SYSTEM.into());
    plan.settle(Some(Ref::new(mesh)));
    plan.objects(feed.read().next().now_or_never().expect("the feed is complete"));
    let next = std::iter::from_fn(|| plan.next(Instant::now()));
    let lines = next.map(|(key, addresses)| {
        let addresses: Vec<String> =
            addresses.iter().map(|one| format!("{}{}", one.ip, one.hostname)).collect();
        format!("{}: {}", key.name, addresses.join(" "))
    });
    lines.collect()
}

#[test]
fn the_addresses_are_those_of_the_service_of_the_gateways() {
    let own = |ours: &Value| wanted(MeshConfig::default(), &[ingress("a", Some("istio")), ours.clone()]);
    let balanced = json!([{"hostname": "lb.example"}, {"ip": "203.0.113.9"}, {"ip": "203.0.113.10"}]);
    let spec = json!({"type": "LoadBalancer", "externalIPs": ["192.0.2.7", "203.0.113.9"]});
    let found = own(&service("istio-ingressgateway", &spec, &balanced));
    assert_eq!(found, ["a: 192.0.2.7 203.0.113.10 203.0.113.9 lb.example"]);
    let named = json!({"type": "ExternalName", "externalName": "edge.example"});
    assert_eq!(own(&service("istio-ingressgateway", &named, &json!([]))), ["a: edge.example"]);
    assert_eq!(own(&service("other", &spec, &balanced)), [] as [&str; 0]);
}

#[test]
fn without_a_service_they_are_those_of_the_node_of_the_first_gateway_that_runs() {
    let mesh = || MeshConfig { ingress_service: String::new(), ..MeshConfig::default() };
    let mut there = vec![
        ingress("a", Some("istio")),
        pod("gateway-1", "Pending", "one"),
        pod("gateway-2", "Running", "unknown"),
        pod("gateway-3", "Running", "two"),
        node("one", &[("ExternalIP", "203.0.113.1")]),
        node(
            "two",
            &[("InternalIP", "10.0.0.2"), ("ExternalIP", "203.0.113.2"), ("ExternalIP", "203.0.113.2")],
        ),
    ];
    assert_eq!(wanted(mesh(), &there), ["a: 203.0.113.2"]);
    let selector = MeshConfig { ingress_selector: "other".to_owned(), ..mesh() };
    assert_eq!(wanted(selector, &there), [] as [&str; 0]);
    there.push(pod("gateway-0", "Running", "one"));
    assert_eq!(wanted(mesh(), &there), ["a: 203.0.113.1"]);
}

#[test]
fn only_ingresses_of_the_mesh_whose_status_differs_are_written() {
    let door = service("istio-ingressgateway", &json!({"externalIPs": ["192.0.2.7"]}), &json!([]));
    let mut right = ingress("right", Some("istio"));
    right["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
    let mut wrong = ingress("wrong", Some("istio"));
    wrong["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}]}});
    let mut there = vec![door, right, wrong, ingress("classed", None), ingress("theirs", Some("nginx"))];
    assert_eq!(wanted(MeshConfig::default(), &there), ["wrong: 192.0.2.7"]);
    there.push(class("istio.io/ingress-controller"));
    assert_eq!(wanted(MeshConfig::default(), &there), ["classed: 192.0.2.7", "wrong: 192.0.2.7"]);
    let off = api::mesh_config::IngressControllerMode::Off;
    let mesh = MeshConfig { ingress_controller_mode: off, ..MeshConfig::default() };
    assert_eq!(wanted(mesh, &there), [] as [&str; 0]);
}

/// The status that the server has of an Ingress.
async fn until_status(server: &FakeServer, name: &str, status: &Value) {
    let is = || server.get(INGRESSES, "shop", name).and_then(|object| object.get("status").cloned());
    let there = async {
        while is().as_ref() != Some(status) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), there).await.is_ok(), "{name}: {:?}", is());
}

fn start(
    server: &FakeServer,
    settings: &watch::Sender<Option<Ref<MeshConfig>>>,
) -> (Feed<Part>, AbortOnDropHandle<()>) {
    let cluster = cluster(server);
    let (objects, namespaces) = (feed(SYSTEM), namespaces());
    namespaces.complete();
    let controller = IngressStatus {
        writer: cluster.writers.of("addresses"),
        connection: cluster.connection,
        namespace: SYSTEM.into(),
        objects: objects.clone(),
        namespaces,
        settings: settings.subscribe(),
    };
    let task = tokio::spawn(async move { controller.run(CancellationToken::new()).await });
    (objects, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn a_status_follows_the_service_and_keeps_what_else_it_says() {
    let server = FakeServer::start(&[INGRESSES]).await;
    let mut stored = ingress("a", Some("istio"));
    stored["status"] = json!({"note": "stays"});
    server.put(INGRESSES, stored.clone());
    let settings = watch::Sender::new(None);
    let (objects, _task) = start(&server, &settings);
    let door = |address: &str| {
        event(&service("istio-ingressgateway", &json!({"externalIPs": [address]}), &json!([])))
    };
    objects.take(&[event(&stored), door("192.0.2.7")]);
    objects.complete();
    settings.send_replace(Some(Ref::default()));
    let said = |list: Value| json!({"note": "stays", "loadBalancer": {"ingress": list}});
    until_status(&server, "a", &said(json!([{"ip": "192.0.2.7"}]))).await;
    objects.take(&[event(&server.get(INGRESSES, "shop", "a").map(typed).expect("an Ingress"))]);
    objects.take(&[door("edge.example")]);
    until_status(&server, "a", &said(json!([{"hostname": "edge.example"}]))).await;
    objects.take(&[event(&server.get(INGRESSES, "shop", "a").map(typed).expect("an Ingress"))]);
    objects.take(&[gone(Kind::Service, SYSTEM, "istio-ingressgateway")]);
    until_status(&server, "a", &said(json!([]))).await;
}

/// An object of the server with what its list leaves out.
fn typed(mut object: Value) -> Value {
    object["apiVersion"] = "networking.k8s.io/v1".into();
    object["kind"] = "Ingress".into();
    object
}
