//! Entries that are mended, and what the API server's answers prove.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response};
use kube::Client;
use kube::api::DynamicObject;
use kube::client::Body;
use prometheus::TextEncoder;
use serde_json::{Value, json};
use testkit::kubernetes::FakeServer;
use tokio::sync::watch;

use super::entries::Entries;
use super::probe::{Answer, probe};
use super::{Metrics, Validating};
use crate::testing::{SYSTEM, cluster};

const LIST: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// The bundles `one` and `two` as they stand in objects.
const ONE: &str = "b25l";
const TWO: &str = "dHdv";

fn configuration(name: &str, revision: &str, bundle: &str, policy: &str) -> Value {
    let entry = |name: &str| {
        json!({
            "name": name, "failurePolicy": policy, "sideEffects": "None", "later": {"field": 1},
            "clientConfig": {"caBundle": bundle, "service": {"name": "istiod", "namespace": SYSTEM, "path": "/validate"}},
        })
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "labels": {"istio.io/rev": revision}},
        "webhooks": [entry("rev.validation.istio.io"), entry("other.validation.istio.io")],
    })
}

fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).expect("an object")
}

fn mended(entries: &Entries, value: &Value) -> Option<Value> {
    entries.mended(&object(value)).map(|object| serde_json::to_value(object).expect("JSON"))
}

#[test]
fn entries_are_mended_and_nothing_else_is_touched() {
    let before = configuration("istio-validator", "default", "", "Ignore");
    let trusting = configuration("istio-validator", "default", ONE, "Ignore");
    let refusing = configuration("istio-validator", "default", ONE, "Fail");
    assert_eq!(mended(&Entries::new(Some("one"), false), &before), Some(trusting.clone()));
    assert_eq!(mended(&Entries::new(Some("one"), true), &trusting), Some(refusing.clone()));
    assert_eq!(mended(&Entries::new(Some("one"), true), &refusing), None);
    assert_eq!(mended(&Entries::new(Some("one"), false), &refusing), None, "it goes on refusing");
    assert_eq!(mended(&Entries::new(None, false), &refusing), None);
    assert_eq!(mended(&Entries::new(None, true), &trusting), Some(refusing));
}

#[test]
fn what_is_no_list_of_entries_is_left_alone() {
    for webhooks in [Value::Null, json!([]), json!([7]), json!("x")] {
        let odd = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "webhooks": webhooks});
        assert_eq!(mended(&Entries::new(Some("one"), true), &odd), None);
    }
}

/// An API server that answers every request so.
fn answering(code: u16, body: &'static str) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let query = request.uri().query().unwrap_or_default();
        assert!(request.method() == Method::GET || query.contains("dryRun=All"), "something would be stored");
        let response = Response::builder().status(code).body(Body::from(body.as_bytes().to_vec()));
        Ok::<_, Infallible>(response.expect("a response"))
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn only_a_refusal_or_that_nothing_can_be_known_is_a_proof() {
    let denied = r#"{"kind":"Status","status":"Failure","code":400,"message":"admission webhook \"v\" denied the request: configuration is invalid"}"#;
    let no_dry_run = r#"{"kind":"Status","status":"Failure","code":400,"message":"admission webhook \"v\" does not support dry run","reason":"BadRequest"}"#;
    for (code, body) in [(400, denied), (404, "404 page not found\n"), (400, no_dry_run)] {
        assert_eq!(probe(&answering(code, body), SYSTEM, "default").await, Answer::Proven, "{body}");
    }
    let taken = r#"{"apiVersion":"networking.istio.io/v1","kind":"Gateway","metadata":{"name":"invalid-gateway"},"spec":{}}"#;
    let no_namespace = r#"{"kind":"Status","status":"Failure","code":404,"reason":"NotFound","message":"namespaces \"istio-system\" not found","details":{"name":"istio-system","kind":"namespaces"}}"#;
    let away = r#"{"kind":"Status","status":"Failure","code":500,"reason":"InternalError","message":"failed calling webhook \"v\": connection refused"}"#;
    let exists = r#"{"kind":"Status","status":"Failure","code":409,"reason":"AlreadyExists","message":"gateways \"invalid-gateway\" already exists"}"#;
    for (code, body) in [(201, taken), (404, no_namespace), (500, away), (409, exists)] {
        let answer = probe(&answering(code, body), SYSTEM, "default").await;
        assert!(matches!(answer, Answer::NotYet(_)), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_of_the_revision_is_written_until_it_is_right() {
    let server = FakeServer::start(&[LIST]).await;
    server.put(LIST, configuration("istio-validator", "default", "", "Ignore"));
    server.put(LIST, configuration("istio-validator-canary", "canary", "", "Ignore"));
    let cluster = cluster(&server);
    let (sender, roots) = watch::channel(Some(Arc::from("one")));
    let validating = Validating {
        connection: cluster.connection.clone(),
        writer: cluster.writers.of("webhooks"),
        revision: "default".to_owned(),
        namespace: SYSTEM.to_owned(),
        roots,
        metrics: Metrics::register(&cluster.registry).expect("metrics"),
    };
    let running = tokio::spawn(validating.run());
    // There is no such kind as Gateway there, which counts as a proof.
    wait(&server, "istio-validator", &configuration("", "", ONE, "Fail")).await;
    sender.send(Some(Arc::from("two"))).expect("a receiver");
    wait(&server, "istio-validator", &configuration("", "", TWO, "Fail")).await;
    server.put(LIST, configuration("istiod-default-validator", "default", "", "Ignore"));
    wait(&server, "istiod-default-validator", &configuration("", "", TWO, "Fail")).await;
    let foreign = server.get(LIST, "", "istio-validator-canary").expect("an object");
    assert_eq!(foreign["webhooks"], configuration("", "", "", "Ignore")["webhooks"]);
    let text = TextEncoder::new().encode_to_string(&cluster.registry.gather()).expect("text");
    assert!(text.contains("galley_validation_config_updates"), "{text}");
    running.abort();
}

/// Waits until an object's entries are those of another.
async fn wait(server: &FakeServer, name: &str, expected: &Value) {
    let there = async {
        while server.get(LIST, "", name).is_none_or(|object| object["webhooks"] != expected["webhooks"]) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, there)
        .await
        .unwrap_or_else(|_| panic!("{name} is {:?}", server.get(LIST, "", name)));
}
