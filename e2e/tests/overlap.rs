//! Rules that want the same TLS connections: the first has them, and nothing else is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Authority, Call, Echo, Mesh, within, world};

/// Two rules for one port, of which the second names a host of the first in other letters.
const RULES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: shop, creationTimestamp: \"2026-01-01T00:00:00Z\"}
spec:
  hosts: [one.example.com]
  gateways: [mesh, edge/edge]
  tls:
  - match: [{port: 8443, sniHosts: [one.example.com, both.example.com]}]
    route: [{destination: {host: one, port: {number: 8443}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: two, namespace: shop, creationTimestamp: \"2026-01-01T00:00:01Z\"}
spec:
  hosts: [two.example.com]
  gateways: [mesh]
  tls:
  - match: [{port: 8443, sniHosts: [Both.example.com, two.example.com]}]
    route: [{destination: {host: two, port: {number: 8443}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: three, namespace: shop, creationTimestamp: \"2026-01-01T00:00:02Z\"}
spec:
  hosts: [two.example.com]
  gateways: [edge/edge]
  tls:
  - match: [{port: 8443, sniHosts: [BOTH.example.com]}, {port: 8443, sniHosts: [two.example.com]}]
    route: [{destination: {host: two, port: {number: 8443}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*.example.com'], tls: {mode: PASSTHROUGH}}
";

fn answers(call: &Call, pod: &str) -> Result<()> {
    within(Duration::from_secs(20), &format!("an answer of {pod} to {call:?}"), || {
        let seen = call.send()?.seen()?;
        ensure!(seen.pod == pod, "{seen:?}");
        Ok(Some(()))
    })
}

#[test]
fn the_first_rule_for_a_name_has_it_and_the_others_keep_the_rest() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let authority = Authority::new()?;
        let names = ["one.example.com", "two.example.com", "both.example.com"];
        for name in ["one", "two"] {
            mesh.service("shop", name).port("tls", 8443).create()?;
            let app = Echo::https(8443, &authority.issue(&names)?)?;
            mesh.pod("shop", name).sidecar(false).app(app).start()?;
            mesh.apply(&format!(
                "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example.com]
  resolution: NONE
  ports: [{{number: 8443, name: tls, protocol: TLS}}]
"
            ))?;
        }
        let gateway = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
        let (inside, outside) =
            (mesh.pod("shop", "client").start()?, world.pod("outside", "browser").start()?);
        mesh.apply(RULES)?;
        for host in names {
            world.host(host, gateway.ip().into())?;
        }
        for client in [&inside, &outside] {
            for (host, pod) in [("one", "one"), ("both", "one"), ("two", "two")] {
                let call = client.get(&format!("https://{host}.example.com:8443/")).trust(&authority.pem());
                answers(&call, pod)?;
            }
        }
        let problems = String::from_utf8_lossy(&mesh.get("/debug/problems")?.body).into_owned();
        for (object, other) in [("two", "one"), ("three", "one")] {
            let words = format!("VirtualService/shop/{other}");
            ensure!(problems.contains(&words) && problems.contains(object), "{problems}");
        }
        inside.wait_settled()?;
        gateway.wait_settled()
    });
}
