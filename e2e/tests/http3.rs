//! HTTP/3 at a gateway; the client that speaks it is an Envoy too.

use std::time::Duration;

use anyhow::Result;
use e2e::{Authority, Echo, Mesh, MeshOptions, Pod, World, world};

use crate::edge::{answers, certificate, gateway, host_at, https};

/// A gateway's Service, open for TCP and UDP on its ports.
fn service(port: u16) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: edge, namespace: edge}}
spec:
  selector: {{istio: edge}}
  ports:
  - {{name: https, port: {port}, targetPort: 8443}}
  - {{name: http3, port: {port}, targetPort: 8443, protocol: UDP}}
"
    )
}

/// Whatever leaves this pod by HTTP goes on as HTTP/3 to the gateway.
fn http3_client(world: &World, gateway: &Pod, root: &str) -> Result<Pod> {
    let bootstrap = include_str!("http3/client.yaml")
        .replace("GATEWAY", &gateway.ip().to_string())
        .replace("ROOT", &serde_json::to_string(root)?);
    world.pod("outside", "http3").by_hand(&bootstrap).start()
}

#[test]
fn a_gateway_serves_http3_and_tells_of_it() {
    world(|world| {
        let env = vec![("PILOT_ENABLE_QUIC_LISTENERS".to_owned(), "true".to_owned())];
        let mesh = Mesh::start_with(world, MeshOptions { env, ..MeshOptions::default() })?;
        mesh.service("shop", "catalog").port("http", 8080).create()?;
        mesh.pod("shop", "catalog").sidecar(false).app(Echo::http(8080)).start()?;
        mesh.apply(&service(443))?;
        let edge = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
        world.host("catalog.example.com", edge.ip().into())?;
        let authority = Authority::new()?;
        let identity = authority.issue(&["catalog.example.com"])?;
        let tls = format!("mode: SIMPLE, {}", certificate(world, "edge", &identity)?);
        mesh.apply(&gateway("edge", &https("https", 443, "*.example.com", &tls)))?;
        mesh.apply(&host_at("edge", "catalog"))?;
        let client = http3_client(world, &edge, &authority.pem())?;
        let call = client.get("http://catalog.example.com:8443/a").timeout(Duration::from_secs(5));
        let answer = answers(&call, 200)?;
        assert_eq!(answer.seen()?.pod, "catalog");
        assert_eq!(answer.header("alt-svc"), Some("h3=\":443\"; ma=86400"));
        assert!(client.envoy()?.stat("^cluster.gateway.upstream_cx_http3_total$")? > 0);
        assert!(edge.envoy()?.stat("downstream_cx_http3_total$")? > 0);
        edge.wait_settled()
    });
}
