//! A real API server as the source: what users apply is served, and goes on being served while the server is away.

mod admission;
mod host_ownership;
mod identified;
mod ingress;
mod manifests;
mod registration;
mod remote;
mod replicas;
mod signers;
mod status;
mod traffic;
mod trust_bundle;

use anyhow::{Result, ensure};
use e2e::{Cluster, ControlPlane, cluster};
use serde_json::Value;

const CONFIGZ: &str = "/debug/configz";
const ENDPOINTZ: &str = "/debug/endpointz";
const PROBLEMS: &str = "/debug/problems";
const RULES: &str = "virtualservices.networking.istio.io";

const NAMESPACES: &str = "apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
";

/// A Service and its EndpointSlice, which names one pod.
const SHOP: &str = "apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: shop, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.9.0.1], targetRef: {kind: Pod, name: reviews, namespace: shop}, conditions: {ready: true}}
";

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: reviews, namespace: shop, labels: {app: reviews}}
spec: {serviceAccountName: reviews, containers: [{name: app, image: localhost/app}]}
status: {phase: Running, podIP: 10.9.0.1, podIPs: [{ip: 10.9.0.1}], conditions: [{type: Ready, status: 'True'}]}
";

fn rule(name: &str, timeout: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [reviews], http: [{{timeout: {timeout}, route: [{{destination: {{host: reviews}}}}]}}]}}
"
    )
}

fn mesh_config(text: &str) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: '{text}'}}
"
    )
}

/// A control plane over the shop with its pod and one rule.
fn shop(cluster: &Cluster<'_>) -> Result<ControlPlane> {
    cluster.apply(NAMESPACES)?;
    cluster.apply(SHOP)?;
    cluster.apply(&mesh_config("accessLogFile: /dev/stdout"))?;
    cluster.apply(POD)?;
    cluster.apply(&rule("first", "1s"))?;
    cluster.control_plane(&[])
}

#[test]
fn what_is_applied_is_served_and_what_is_deleted_no_longer() {
    cluster(|cluster| {
        let plane = shop(cluster)?;
        // All of it was there before it said that it is ready.
        ensure!(plane.text(CONFIGZ)?.contains("\"first\""), "{}", plane.text(CONFIGZ)?);
        ensure!(plane.text("/debug/mesh")?.contains("/dev/stdout"), "{}", plane.text("/debug/mesh")?);
        ensure!(plane.text(ENDPOINTZ)?.contains("10.9.0.1"), "{}", plane.text(ENDPOINTZ)?);
        ensure!(plane.text(PROBLEMS)?.is_empty(), "{}", plane.text(PROBLEMS)?);

        cluster.apply(&rule("first", "7s"))?;
        plane.wait_for("the changed rule", CONFIGZ, |page| page.contains("\"7s\""))?;
        cluster.apply(&rule("second", "2s"))?;
        plane.wait_for("the new rule", CONFIGZ, |page| page.contains("\"second\""))?;
        cluster.delete(RULES, "shop", "second")?;
        plane.wait_for("the rule to be gone", CONFIGZ, |page| !page.contains("\"second\""))?;

        cluster.apply(&mesh_config("accessLogFile: ["))?;
        plane.wait_for("the mistake to be told", PROBLEMS, |page| {
            page.contains("ConfigMap/istio-system/istio") && page.contains("data.mesh")
        })?;
        ensure!(plane.text("/debug/mesh")?.contains("/dev/stdout"), "the last good form stays");
        cluster.apply(&mesh_config("accessLogFile: /dev/stderr"))?;
        plane.wait_for("the mistake to be gone", PROBLEMS, str::is_empty)?;
        ensure!(plane.text("/debug/mesh")?.contains("/dev/stderr"), "{}", plane.text("/debug/mesh")?);
        Ok(())
    });
}

#[test]
fn a_pods_status_decides_what_is_an_endpoint() {
    cluster(|cluster| {
        cluster.apply(NAMESPACES)?;
        cluster.apply(SHOP)?;
        let plane = cluster.control_plane(&[])?;
        let endpoints = |plane: &ControlPlane| -> Result<String> { plane.text(ENDPOINTZ) };
        ensure!(!endpoints(&plane)?.contains("10.9.0.1"), "the pod is not there: {}", endpoints(&plane)?);
        cluster.apply(POD)?;
        plane.wait_for("the pod as an endpoint", ENDPOINTZ, |page| page.contains("10.9.0.1"))?;
        // The field selector takes failed pods away.
        cluster.apply(&POD.replace("phase: Running", "phase: Failed"))?;
        plane.wait_for("the failed pod to be gone", ENDPOINTZ, |page| !page.contains("10.9.0.1"))
    });
}

#[test]
fn a_kind_comes_and_goes_with_its_definition() {
    cluster(|cluster| {
        let plane = shop(cluster)?;
        cluster.delete("crd", "", RULES)?;
        plane.wait_for("the rules to be gone", CONFIGZ, |page| !page.contains("\"first\""))?;
        cluster.define()?;
        cluster.apply(&rule("again", "1s"))?;
        plane.wait_for("the rule of the kind that is back", CONFIGZ, |page| page.contains("\"again\""))?;
        ensure!(plane.text(PROBLEMS)?.is_empty(), "{}", plane.text(PROBLEMS)?);
        Ok(())
    });
}

#[test]
fn what_is_known_is_served_while_the_api_server_is_away() {
    cluster(|cluster| {
        let plane = shop(cluster)?;
        cluster.stop_api_server();
        plane.wait_for("the loss to be told", "/ready", |page| page.contains("cannot be reached"))?;
        ensure!(plane.text(CONFIGZ)?.contains("\"first\""), "{}", plane.text(CONFIGZ)?);
        cluster.start_api_server()?;
        plane.wait_for("the server to be found", "/ready", str::is_empty)?;
        cluster.apply(&rule("later", "1s"))?;
        plane.wait_for("what came later", CONFIGZ, |page| page.contains("\"later\""))?;
        let told = plane.log()?.lines().filter(|line| line.contains("cannot be")).count();
        ensure!(told == 1, "the loss is told once:\n{}", plane.log()?);
        let rules: Value = plane.json(CONFIGZ)?;
        ensure!(rules.as_array().is_some_and(|all| all.len() == 2), "{rules}");
        Ok(())
    });
}
