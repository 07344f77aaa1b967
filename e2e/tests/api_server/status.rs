//! The status of objects on a real API server: what became of each stands where its owner looks.

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, Echo, Mesh, MeshOptions, cluster, wait_until};
use serde_json::Value;

use super::{RULES, rule, shop};

/// What an Envoy says when it may not open a listener.
const REFUSAL: &str = "cannot bind '0.0.0.0:8080'";

const GATEWAYS: &str = "gateways.networking.istio.io";

/// The condition of a type; null if there is none.
pub(super) fn condition(object: &Value, wanted: &str) -> Value {
    let listed = object.pointer("/status/conditions").and_then(Value::as_array);
    listed.into_iter().flatten().find(|one| one["type"] == wanted).cloned().unwrap_or_default()
}

/// Waits until a rule's status satisfies `holds`.
fn wait_for(cluster: &Cluster<'_>, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_for_kind(cluster, RULES, name, what, holds)
}

/// Waits until the status of an object of a kind satisfies `holds`.
fn wait_for_kind(
    cluster: &Cluster<'_>,
    kind: &str,
    name: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let object = || cluster.get(kind, "shop", name);
    wait_until(what, || {
        let object = object()?;
        ensure!(holds(&object), "the object is {object}");
        Ok(true)
    })?;
    object()
}

/// Whether it is accepted in the form that it has now.
fn accepted(object: &Value) -> bool {
    let condition = condition(object, "Accepted");
    let (observed, now) = (condition.get("observedGeneration"), object.pointer("/metadata/generation"));
    condition.get("status").is_some_and(|status| status == "True") && observed == now
}

#[test]
fn what_is_wrong_with_an_object_and_that_it_is_mended_stands_in_its_status() {
    cluster(|cluster| {
        let _plane = shop(cluster)?;
        wait_for(cluster, "first", "a rule without a fault", |rule| {
            accepted(rule) && condition(rule, "Warning").is_null()
        })?;
        cluster.apply(&rule("second", "1s").replace("{host: reviews}", "{host: wob}"))?;
        let doubtful = wait_for(cluster, "second", "a rule to nowhere", |rule| {
            accepted(rule) && condition(rule, "Warning")["status"] == "True"
        })?;
        let told = condition(&doubtful, "Warning")["message"].to_string();
        ensure!(
            told.contains("spec.http[0].route[0].destination.host") && told.contains("wob.shop.svc"),
            "{told}"
        );
        // Two rules for one host: the younger one is told of the older.
        ensure!(told.contains("VirtualService shop/first"), "{told}");
        let events = || cluster.get("events.events.k8s.io", "shop", "");
        wait_until("an Event", || Ok(events()?.to_string().contains("\"Doubtful\"")))?;

        cluster.apply(&rule("second", "1s").replace("hosts: [reviews]", "hosts: [other.example]"))?;
        wait_for(cluster, "second", "the rule to be mended", |rule| {
            accepted(rule) && condition(rule, "Warning").is_null()
        })?;
        wait_until("an Event that it is mended", || Ok(events()?.to_string().contains("\"Mended\"")))
    });
}

#[test]
fn conditions_of_others_stay_and_what_somebody_takes_away_comes_back() {
    cluster(|cluster| {
        let plane = shop(cluster)?;
        wait_for(cluster, "first", "a status", accepted)?;
        let before = plane.text(super::CONFIGZ)?;
        cluster.apply(&format!(
            "{}status: {{conditions: [{{type: Theirs, status: 'True'}}]}}\n",
            rule("first", "1s")
        ))?;
        let rule = wait_for(cluster, "first", "both", |rule| {
            accepted(rule) && condition(rule, "Theirs")["status"] == "True"
        })?;
        ensure!(rule["metadata"]["generation"] == 1, "{rule}");
        ensure!(plane.text(super::CONFIGZ)? == before, "a status is no input");
        Ok(())
    });
}

#[test]
fn how_many_proxies_have_a_rule_stands_in_its_status_when_asked_for() {
    cluster(|cluster| {
        let flags = ["--status".to_owned(), "progress".to_owned()];
        let mesh = Mesh::on(cluster, MeshOptions { flags: flags.into(), ..MeshOptions::default() })?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        mesh.apply(&rule("first", "1s"))?;
        wait_for(cluster, "first", "nobody to need it", |rule| {
            condition(rule, "Programmed")["reason"] == "NotNeeded"
        })?;
        let server =
            mesh.pod("shop", "reviews-1").labels(&[("app", "reviews")]).app(Echo::http(8080)).start()?;
        let client = mesh.pod("shop", "web").start()?;
        let rule = wait_for(cluster, "first", "both sidecars to have it", |rule| {
            condition(rule, "Programmed")["message"]
                .as_str()
                .is_some_and(|text| text.contains("2 of 2 proxies"))
        })?;
        ensure!(condition(&rule, "Programmed")["status"] == "True", "{rule}");
        mesh.remove(&client)?;
        wait_for(cluster, "first", "one to have it", |rule| {
            condition(rule, "Programmed")["message"]
                .as_str()
                .is_some_and(|text| text.contains("1 of 1 proxies"))
        })?;
        server.envoy().context("the server's sidecar").map(drop)
    });
}

#[test]
fn what_an_envoy_refuses_stands_in_the_status_in_its_words() {
    cluster(|cluster| {
        let mesh = Mesh::on(cluster, MeshOptions::default())?;
        let labels = [("istio", "edge")];
        // Something else has the port that the gateway is to open.
        let edge = mesh.pod("shop", "edge").labels(&labels).gateway().app(Echo::http(8080)).start()?;
        edge.envoy()?.expect_refusal(REFUSAL);
        let gateway = |port: u16| {
            format!(
                "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{istio: edge}}
  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*.example.com']}}]
"
            )
        };
        mesh.apply(&gateway(8080))?;
        let refused = wait_for_kind(cluster, GATEWAYS, "edge", "the refusal", |gateway| {
            condition(gateway, "Programmed")["reason"] == "Refused"
        })?;
        let told = condition(&refused, "Programmed")["message"].to_string();
        ensure!(told.contains("refused by 1 of 1 proxies; edge.shop"), "{told}");
        ensure!(told.contains(REFUSAL), "{told}");
        ensure!(accepted(&refused), "the object says nothing that it must not: {refused}");
        mesh.apply(&gateway(8081))?;
        wait_for_kind(cluster, GATEWAYS, "edge", "the refusal to be over", |gateway| {
            accepted(gateway) && condition(gateway, "Programmed").is_null()
        })
        .map(drop)
    });
}
