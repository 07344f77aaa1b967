//! Documents that an API server sends, and what it is answered.

use std::error::Error;
use std::sync::Arc;

use api::{AnyObject, Problem, Severity};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Admission, Metrics, ready};

mod corpus;

type Outcome = Result<(), Box<dyn Error>>;

/// The webhook, with a doubt about every object of the name `doubtful`.
struct Webhook {
    routes: Router,
    registry: Registry,
}

impl Webhook {
    fn new() -> Result<Self, Box<dyn Error>> {
        let registry = Registry::new();
        let doubts = |object: &AnyObject| -> Vec<Problem> {
            let doubt = |severity| Problem {
                severity,
                object: object.key(),
                field: "spec.hosts[0]".to_owned(),
                message: "nobody has this host".to_owned(),
                hint: "define it".to_owned(),
            };
            let found = &*object.meta().name == "doubtful";
            if found { vec![doubt(Severity::Error)] } else { Vec::new() }
        };
        let admission = Admission::new(Arc::new(doubts), Metrics::register(&registry)?);
        Ok(Self { routes: admission.routes().merge(ready()), registry })
    }

    async fn send(
        &self,
        path: &str,
        kind: &str,
        body: impl Into<Body>,
    ) -> Result<(StatusCode, String), Box<dyn Error>> {
        let request = Request::post(path).header("Content-Type", kind).body(body.into())?;
        let response = self.routes.clone().oneshot(request).await?;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await?;
        Ok((status, String::from_utf8(body.to_vec())?))
    }

    /// The `response` to a review.
    async fn ask(&self, review: &Value) -> Result<Value, Box<dyn Error>> {
        let (status, body) = self.send("/validate", "application/json", review.to_string()).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
        let answer: Value = serde_json::from_str(&body)?;
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["apiVersion"], review["apiVersion"]);
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        Ok(answer["response"].clone())
    }

    /// The sample lines of the metrics.
    fn counted(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        Ok(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
    }
}

/// A VirtualService as `kubectl` makes it, with this spec.
fn rule(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {
            "name": name, "namespace": "shop", "uid": "u", "generation": 1,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": spec,
    })
}

fn good() -> Value {
    json!({"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]})
}

fn review(operation: &str, object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "networking.istio.io", "version": "v1", "kind": "VirtualService"},
            "resource": {"group": "networking.istio.io", "version": "v1", "resource": "virtualservices"},
            "name": "web", "namespace": "shop", "operation": operation,
            "userInfo": {"username": "admin"}, "object": object, "oldObject": null, "dryRun": false,
        },
    })
}

fn message(response: &Value) -> &str {
    assert_eq!(response["allowed"], false, "{response}");
    response["status"]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_is_right_is_allowed_in_either_version_of_the_question() -> Outcome {
    let webhook = Webhook::new()?;
    for version in ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"] {
        let mut asked = review("UPDATE", rule("web", &good()));
        asked["apiVersion"] = version.into();
        let answer = webhook.ask(&asked).await?;
        assert_eq!(answer, json!({"uid": asked["request"]["uid"], "allowed": true}));
    }
    let passed = "galley_validation_passed{group=\"networking.istio.io\",resource=\"virtualservices\",version=\"v1\"} 2";
    assert_eq!(webhook.counted()?, [passed]);
    Ok(())
}

#[tokio::test]
async fn every_error_is_told_at_once_with_object_field_and_cure() -> Outcome {
    let webhook = Webhook::new()?;
    let spec = json!({"hosts": ["*"], "http": [{"route": [{"destination": {"host": ""}}]}]});
    let mut object = rule("web", &spec);
    object["specs"] = json!({});
    let answer = webhook.ask(&review("CREATE", object)).await?;
    let lines: Vec<&str> = message(&answer).lines().collect();
    assert_eq!(lines[0], "configuration is invalid: 3 errors:");
    for (line, start) in lines[1..].iter().zip([
        "* VirtualService/shop/web specs: unknown field \"specs\" (",
        "* VirtualService/shop/web spec.hosts[0]: ",
        "* VirtualService/shop/web spec.http[0].route[0].destination.host: ",
    ]) {
        assert!(line.starts_with(start) && line.ends_with(')'), "{line}");
    }
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let failed = "galley_validation_failed{group=\"networking.istio.io\",reason=\"invalid_resource\",resource=\"virtualservices\",version=\"v1\"} 1";
    assert_eq!(webhook.counted()?, [failed]);
    Ok(())
}

#[tokio::test]
async fn doubts_are_warnings_and_no_reason_to_refuse() -> Outcome {
    let webhook = Webhook::new()?;
    let mut spec = good();
    spec["http"][0]["timeOut"] = "1s".into();
    let answer = webhook.ask(&review("CREATE", rule("doubtful", &spec))).await?;
    assert_eq!(answer["allowed"], true);
    let warnings = [
        "VirtualService/shop/doubtful spec.http[0].timeOut: unknown field, read over: check its spelling and place",
        "VirtualService/shop/doubtful spec.hosts[0]: nobody has this host (define it)",
    ];
    assert_eq!(answer["warnings"], json!(warnings));
    Ok(())
}

#[tokio::test]
async fn an_envoy_filter_is_always_taken_with_a_notice() -> Outcome {
    let webhook = Webhook::new()?;
    let object = json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": "f", "namespace": "shop"}, "spec": {},
    });
    let answer = webhook.ask(&review("CREATE", object)).await?;
    assert_eq!(answer["allowed"], true);
    let warnings = answer["warnings"].as_array().ok_or("no warnings")?;
    assert!(warnings.len() == 1 && warnings[0].as_str().is_some_and(|w| w.contains("Envoy's configuration")));
    Ok(())
}

#[tokio::test]
async fn kinds_are_known_by_group_and_name_whatever_the_version() -> Outcome {
    let webhook = Webhook::new()?;
    let of = |version: &str, kind: &str| {
        let mut object = rule("web", &good());
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        review("CREATE", object)
    };
    assert_eq!(webhook.ask(&of("networking.istio.io/v9", "VirtualService")).await?["allowed"], true);
    for (version, kind) in
        [("networking.istio.io/v1", "Foo"), ("v1", "Pod"), ("istio.io/v1", "VirtualService"), ("", "")]
    {
        let answer = webhook.ask(&of(version, kind)).await?;
        assert!(
            message(&answer).starts_with(&format!("unrecognized type {kind:?} of {version:?}")),
            "{answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_value_of_a_wrong_type_is_refused_with_its_place() -> Outcome {
    let webhook = Webhook::new()?;
    let answer = webhook.ask(&review("CREATE", rule("web", &json!({"hosts": "web"})))).await?;
    let start = "error decoding configuration: VirtualService/shop/web: spec.hosts: ";
    assert!(message(&answer).starts_with(start), "{answer}");
    let answer = webhook.ask(&review("CREATE", Value::Null)).await?;
    assert!(message(&answer).starts_with("cannot decode configuration: "), "{answer}");
    let failed = |reason: &str| {
        format!(
            "galley_validation_failed{{group=\"networking.istio.io\",reason=\"{reason}\",resource=\"virtualservices\",version=\"v1\"}} 1"
        )
    };
    assert_eq!(webhook.counted()?, [failed("crd_conversion_error"), failed("yaml_decode_error")]);
    Ok(())
}

#[tokio::test]
async fn other_operations_are_allowed_and_counted() -> Outcome {
    let webhook = Webhook::new()?;
    let answer = webhook.ask(&review("DELETE", Value::Null)).await?;
    assert_eq!(answer["allowed"], true);
    assert!(webhook.counted()?[0].contains("reason=\"unsupported_operation\""));
    Ok(())
}

#[tokio::test]
async fn the_probe_of_the_control_plane_is_refused_and_not_counted() -> Outcome {
    let webhook = Webhook::new()?;
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {
            "name": "invalid-gateway", "namespace": "istio-system",
            "annotations": {"internal.istio.io/webhook-always-reject": "true"},
        },
        "spec": {},
    });
    let mut asked = review("CREATE", object);
    asked["request"]["dryRun"] = true.into();
    let answer = webhook.ask(&asked).await?;
    assert!(message(&answer).contains("webhook-always-reject"), "{answer}");
    assert_eq!(webhook.counted()?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn an_object_without_a_name_yet_is_judged_by_what_it_says() -> Outcome {
    let webhook = Webhook::new()?;
    let mut asked = review("CREATE", rule("", &json!({"hosts": ["*"]})));
    asked["request"]["name"] = "".into();
    asked["request"]["object"]["metadata"] = json!({"generateName": "web-"});
    let answer = webhook.ask(&asked).await?;
    assert!(message(&answer).contains("VirtualService/shop/web- spec.hosts[0]: "), "{answer}");
    Ok(())
}

#[tokio::test]
async fn names_that_nobody_knows_become_no_labels() -> Outcome {
    let webhook = Webhook::new()?;
    let mut asked = review("CREATE", rule("web", &good()));
    asked["request"]["resource"] = json!({"group": "a", "version": "b", "resource": "c"});
    webhook.ask(&asked).await?;
    let passed = "galley_validation_passed{group=\"unknown\",resource=\"unknown\",version=\"unknown\"} 1";
    assert_eq!(webhook.counted()?, [passed]);
    Ok(())
}

#[tokio::test]
async fn what_is_no_question_has_an_answer_too() -> Outcome {
    let webhook = Webhook::new()?;
    let json = "application/json";
    let asked = review("CREATE", rule("web", &good())).to_string();
    assert_eq!(webhook.send("/validate", json, "").await?.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        webhook.send("/validate", "text/yaml", asked.clone()).await?.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let long = vec![b' '; 7 * 1024 * 1024];
    assert_eq!(webhook.send("/validate", json, long).await?.0, StatusCode::PAYLOAD_TOO_LARGE);
    let counted = |status: &str| format!("galley_validation_http_error{{status=\"{status}\"}} 1");
    assert_eq!(webhook.counted()?, [counted("400"), counted("413"), counted("415")]);

    for bad in ["{", "[]", "{}", "7", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#] {
        let (status, body) = webhook.send("/validate", json, bad).await?;
        let answer: Value = serde_json::from_str(&body)?;
        assert_eq!(status, StatusCode::OK);
        assert!(message(&answer["response"]).starts_with("could not decode body: "), "{body}");
    }
    assert_eq!(webhook.send("/validate/remote", json, asked.clone()).await?.0, StatusCode::OK);
    assert_eq!(webhook.send("/validate", "application/json; charset=utf-8", asked).await?.0, StatusCode::OK);
    assert_eq!(
        webhook.routes.clone().oneshot(Request::get("/ready").body(Body::empty())?).await?.status(),
        StatusCode::OK
    );
    Ok(())
}
