//! Validation where users meet it: what `kubectl apply` answers while the control plane is there, and while it is not.

use anyhow::{Result, ensure};
use e2e::{Cluster, ControlPlane, cluster, wait_until};
use serde_json::Value;

/// The entry as the reference's chart installs it, but with an address: nothing leads to Services here.
const WEBHOOK: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istiod-default-validator, labels: {app: istiod, istio: istiod, istio.io/rev: default}}
webhooks:
- name: validation.istio.io
  clientConfig: {url: 'https://127.0.0.1:15017/validate'}
  rules:
  - operations: [CREATE, UPDATE]
    apiGroups: [security.istio.io, networking.istio.io, telemetry.istio.io, extensions.istio.io]
    apiVersions: ['*']
    resources: ['*']
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
";

/// A VirtualService with these rules.
fn rules(name: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [reviews], http: {http}}}
"
    )
}

const GOOD: &str = "[{route: [{destination: {host: reviews}}]}]";

/// A control plane that the API server can ask, with its entry in place and proven.
fn asked(cluster: &Cluster<'_>) -> Result<ControlPlane> {
    cluster.apply(super::NAMESPACES)?;
    cluster.apply(WEBHOOK)?;
    let plane = cluster.control_plane(&[])?;
    wait_until("the webhook to be relied on", || {
        let object = cluster.get("validatingwebhookconfigurations", "", "istiod-default-validator")?;
        let field = |path: &str| object.pointer(&format!("/webhooks/0/{path}")).and_then(Value::as_str);
        Ok(field("clientConfig/caBundle").is_some() && field("failurePolicy") == Some("Fail"))
    })?;
    Ok(plane)
}

/// What `kubectl` says when an object is refused.
fn refusal(cluster: &Cluster<'_>, yaml: &str) -> Result<String> {
    match cluster.apply(yaml) {
        Ok(()) => anyhow::bail!("it was taken"),
        Err(error) => Ok(error.to_string()),
    }
}

#[test]
fn what_is_wrong_is_refused_and_what_is_doubtful_is_told() {
    cluster(|cluster| {
        let _plane = asked(cluster)?;
        let two = "[{route: [{destination: {host: reviews}, weight: -1}]}, {redirect: {uri: /a}, route: [{destination: {host: reviews}}]}]";
        let said = refusal(cluster, &rules("bad", two))?;
        let expected = [
            "admission webhook \"validation.istio.io\" denied the request: configuration is invalid: 2 errors:",
            "\n* VirtualService/shop/bad spec.http[0].route[0].weight: ",
            "\n* VirtualService/shop/bad spec.http[1]: ",
        ];
        ensure!(expected.iter().all(|part| said.contains(part)), "{said}");

        let doubtful = "apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: doubtful, namespace: shop}
spec: {}
";
        let said = cluster.apply_and_listen(doubtful)?;
        ensure!(said.starts_with("Warning: EnvoyFilter/shop/doubtful: "), "{said}");
        let said = cluster.apply_and_listen(&rules("good", GOOD))?;
        ensure!(!said.contains("configuration is invalid"), "{said}");
        Ok(())
    });
}

#[test]
fn while_nobody_answers_the_policy_decides() {
    cluster(|cluster| {
        let plane = asked(cluster)?;
        drop(plane);
        let said = refusal(cluster, &rules("later", GOOD))?;
        ensure!(said.contains("failed calling webhook"), "{said}");
        // The API server's own copy of the entry follows a little later.
        cluster.apply(WEBHOOK)?;
        wait_until("the policy to be taken up", || cluster.apply(&rules("later", GOOD)).map(|()| true))
    });
}
