//! Other networks: gateways that are known by name are sent by the addresses that the name has.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Mesh, within, world};

/// A network behind a gateway whose name every machine resolves, and a workload in it.
const FAR: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: '{networks: {far: {endpoints: [{fromCidr: 10.99.0.0/16}], gateways: [{address: localhost, port: 15443}]}}}'
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: shop}
spec:
  hosts: [far.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.99.0.5, network: far, serviceAccount: far}]
";

#[test]
fn a_gateway_that_is_known_by_name_is_resolved_for_proxies() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let client = mesh.pod("shop", "client").metadata("NETWORK", "near".into()).start()?;
        mesh.apply(FAR)?;
        within(Duration::from_secs(20), "the gateway's address", || -> Result<_> {
            let clusters = client.envoy()?.admin("/clusters")?;
            let far: Vec<&str> = clusters.lines().filter(|l| l.starts_with("outbound|80||far")).collect();
            let at = |address: &str| far.iter().any(|line| line.contains(&format!("::{address}::")));
            ensure!(at("127.0.0.1:15443") && !at("10.99.0.5:80"), "{far:?}");
            Ok(Some(()))
        })?;
        client.wait_settled()
    });
}
