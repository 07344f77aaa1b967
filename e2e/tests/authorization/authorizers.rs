//! External authorizers of both kinds: what they decide, and what becomes of requests when they are away.

use anyhow::Result;
use e2e::{Echo, MeshOptions, Pod, World, wait_until, world};
use serde_json::json;

use super::{Shop, URL, becomes, policy, status, talks};

const PROVIDERS: &str = "
extensionProviders:
- name: http
  envoyExtAuthzHttp: {service: guard.shop.svc.cluster.local, port: 8000, pathPrefix: /check, includeRequestHeadersInCheck: [x-token], timeout: 5s}
- name: http-open
  envoyExtAuthzHttp: {service: guard.shop.svc.cluster.local, port: 8000, failOpen: true, timeout: 5s}
- name: grpc
  envoyExtAuthzGrpc: {service: guard.shop.svc.cluster.local, port: 9000, timeout: 5s}
- name: grpc-open
  envoyExtAuthzGrpc: {service: guard.shop.svc.cluster.local, port: 9000, failOpen: true, timeout: 5s}
";

/// The shop with an authorizer of both kinds.
fn guarded<'w>(world: &'w World) -> Result<(Shop<'w>, Pod)> {
    let options = MeshOptions { mesh_config: Some(PROVIDERS.to_owned()), ..MeshOptions::default() };
    let mesh = e2e::Mesh::start_with(world, options)?;
    mesh.service("shop", "guard").port("http", 8000).port("grpc", 9000).create()?;
    let guard =
        mesh.pod("shop", "guard").sidecar(false).app(Echo::http(8000)).app(Echo::http(9000)).start()?;
    Ok((Shop::of(mesh)?, guard))
}

fn ask(shop: &Shop<'_>, provider: &str) -> Result<()> {
    let rules = json!([{"to": [{"operation": {"paths": ["/asked*"], "ports": ["8080"]}}]}, {"to": [{"operation": {"ports": ["9000"]}}]}]);
    let spec = json!({"action": "CUSTOM", "provider": {"name": provider}, "rules": rules});
    shop.mesh.apply(&policy("custom", &spec).to_string())
}

#[test]
fn an_authorizer_decides_on_what_its_rules_match() {
    world(|world| {
        let (shop, guard) = guarded(world)?;
        let asked = shop.web.get("http://reviews:8080/asked");
        for (provider, of_bytes) in [("http", false), ("grpc", true)] {
            guard.app().answer_with(Some(403));
            ask(&shop, provider)?;
            becomes(&asked, 403)?;
            let before = guard.app().requests();
            assert_eq!(status(&shop.web.get(URL))?, 200, "{provider} is asked about other paths");
            assert_eq!(guard.app().requests(), before);
            // An authorizer of HTTP is not asked about connections of TCP, as in the reference.
            assert_eq!(talks(&shop.web)?, !of_bytes, "{provider}");

            guard.app().answer_with(None);
            becomes(&asked, 200)?;
            assert!(guard.app().requests() > before && talks(&shop.web)?);

            // What denies by itself is denied, whatever the authorizer says.
            shop.policy(
                "deny",
                "DENY",
                &json!([{"to": [{"operation": {"paths": ["/asked"], "ports": ["8080"]}}]}]),
            )?;
            becomes(&asked, 403)?;
            shop.mesh.delete("AuthorizationPolicy", "shop", "deny")?;
            becomes(&asked, 200)?;
        }
        shop.settled()
    });
}

#[test]
fn without_their_authorizer_requests_are_refused_unless_it_fails_open() {
    world(|world| {
        let (shop, guard) = guarded(world)?;
        let asked = shop.web.get("http://reviews:8080/asked");
        ask(&shop, "http")?;
        wait_until("the authorizer to be asked", || {
            asked.send()?;
            Ok(guard.app().requests() > 0)
        })?;
        assert_eq!(status(&asked)?, 200);
        shop.mesh.remove(&guard)?;
        for provider in ["http", "grpc"] {
            ask(&shop, provider)?;
            becomes(&asked, 403)?;
            assert_eq!(status(&shop.web.get(URL))?, 200, "{provider} is asked about other paths");
            ask(&shop, &format!("{provider}-open"))?;
            becomes(&asked, 200)?;
        }
        assert!(talks(&shop.web)?);
        // One that nobody knows is asked by nobody: what its rules match is denied.
        ask(&shop, "nobody")?;
        becomes(&asked, 403)?;
        assert_eq!(status(&shop.web.get(URL))?, 200);
        shop.mesh.tells(&["AuthorizationPolicy/shop/custom", "nobody"])?;
        shop.settled()
    });
}
