//! Two networks: endpoints that cannot be reached directly are called through the gateway of their network.

use anyhow::{Result, ensure};
use e2e::{Echo, Mesh, Pod, wait_until, world};
use serde_json::json;

use crate::shop::{REVIEWS, seen};

#[test]
fn what_is_in_another_network_is_called_through_its_gateway() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        let server = |network: &str| -> Result<Pod> {
            let pod = mesh.pod("shop", &format!("reviews-{network}")).service_account("reviewer");
            let pod = pod.labels(&[("app", "reviews"), ("topology.istio.io/network", network)]);
            pod.metadata("NETWORK", json!(network)).app(Echo::http(8080)).start()
        };
        server("near")?;
        let far = server("far")?;
        let labels = [("istio", "eastwest"), ("topology.istio.io/network", "far")];
        let gateway = mesh.pod("istio-system", "eastwest").labels(&labels);
        let gateway = gateway
            .metadata("NETWORK", json!("far"))
            .metadata("REQUESTED_NETWORK_VIEW", json!("far"))
            .gateway()
            .start()?;
        mesh.apply(&format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: eastwest, namespace: istio-system, labels: {{topology.istio.io/network: far}}}}
spec: {{type: LoadBalancer, selector: {{istio: eastwest}}, ports: [{{name: tls, port: 15443}}], externalIPs: [{0}]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: eastwest, namespace: istio-system}}
spec:
  selector: {{istio: eastwest}}
  servers:
  - port: {{number: 15443, name: tls, protocol: TLS}}
    hosts: ['*.local']
    tls: {{mode: AUTO_PASSTHROUGH}}
",
            gateway.ip()
        ))?;
        let client = mesh.pod("shop", "web").service_account("browser");
        let client = client.metadata("NETWORK", json!("near"));
        let client = client.labels(&[("app", "web"), ("topology.istio.io/network", "near")]).start()?;
        let direct = format!("{}:8080::", far.ip());
        wait_until("an answer of the other network, through its gateway", || {
            let endpoints = client.envoy()?.admin("/clusters")?;
            let pod = seen(&client, REVIEWS)?.pod;
            ensure!(!endpoints.contains(&direct), "it is called directly: {endpoints}");
            ensure!(pod == "reviews-far", "{pod} answered");
            Ok(true)
        })?;
        let passed = || gateway.envoy()?.stat("^cluster.outbound_.8080_._.reviews.*upstream_cx_total$");
        ensure!(passed()? > 0, "nothing passed the gateway");
        wait_until("an answer of the client's own network", || {
            Ok(seen(&client, REVIEWS)?.pod == "reviews-near")
        })?;
        // The gateway sees no more than the name in the handshake: it is the client that the server sees.
        wait_until("an answer of the other network again", || {
            let seen = seen(&client, REVIEWS)?;
            let who = seen.client_certificate("URI");
            Ok(seen.pod == "reviews-far" && who == ["spiffe://cluster.local/ns/shop/sa/browser"])
        })?;
        mesh.wait_synced(&[&client])
    });
}
