//! AuthorizationPolicies: who may do what, by identity, request, token and address; what is only tried out; and external
//! authorizers.

mod authorizers;
mod edge;
mod tricks;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Call, Echo, Mesh, Pod, World, wait_until, within, world};
use http::Method;
use serde_json::{Value, json};

use crate::tokens;

const URL: &str = "http://reviews.shop:8080/";

/// A connection of its own for each request. Those that are kept stay under the policies that they began with until Envoy
/// has drained them.
const SINGLE: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}
";

/// `reviews` with a port of HTTP and one of TCP; who calls it from its namespace, from another, and in plain text.
struct Shop<'w> {
    mesh: Mesh<'w>,
    web: Pod,
    cart: Pod,
    outsider: Pod,
    reviews: Pod,
}

impl<'w> Shop<'w> {
    fn start(world: &'w World) -> Result<Self> {
        Self::of(Mesh::start(world)?)
    }

    fn of(mesh: Mesh<'w>) -> Result<Self> {
        mesh.service("shop", "reviews").port("http", 8080).port("tcp", 9000).create()?;
        mesh.apply(SINGLE)?;
        let apps = mesh.pod("shop", "reviews").app(Echo::http(8080)).app(Echo::tcp(9000));
        let reviews = apps.start()?;
        let web = mesh.pod("shop", "web").service_account("browser").start()?;
        let cart = mesh.pod("bank", "cart").service_account("cart").start()?;
        let outsider = mesh.pod("legacy", "outsider").sidecar(false).start()?;
        let shop = Self { mesh, web, cart, outsider, reviews };
        for client in shop.clients() {
            wait_until("the first answer", || Ok(client.get(URL).send()?.status == 200))?;
        }
        Ok(shop)
    }

    fn clients(&self) -> [&Pod; 3] {
        [&self.web, &self.cart, &self.outsider]
    }

    /// Applies a policy for `reviews` with this action and rest of the specification.
    fn policy(&self, name: &str, action: &str, rules: &Value) -> Result<()> {
        self.mesh.apply(&policy(name, &json!({"action": action, "rules": rules})).to_string())
    }

    fn settled(&self) -> Result<()> {
        self.mesh.wait_synced(&[&self.web, &self.cart, &self.reviews])
    }
}

fn policy(name: &str, spec: &Value) -> Value {
    let mut spec = spec.as_object().cloned().unwrap_or_default();
    spec.insert("selector".to_owned(), json!({"matchLabels": {"app": "reviews"}}));
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

/// Waits until a call is answered with `status`.
fn becomes(call: &Call, status: u16) -> Result<()> {
    within(Duration::from_secs(20), &format!("the status {status}"), || {
        let answer = call.send()?;
        ensure!(answer.status == status, "{answer:?}");
        Ok(Some(()))
    })
}

fn status(call: &Call) -> Result<u16> {
    Ok(call.send()?.status)
}

/// Whether a line comes back over TCP.
fn talks(client: &Pod) -> Result<bool> {
    let session = client.tcp("reviews.shop:9000")?;
    if session.send_line("hello").is_err() {
        return Ok(false);
    }
    match session.read_line() {
        Ok(line) => Ok(line.ends_with(" hello")),
        Err(_) => session.closed_within(Duration::from_secs(10)).map(|()| false),
    }
}

#[test]
fn by_principal_and_namespace_over_mutual_tls() {
    world(|world| {
        let shop = Shop::start(world)?;
        let statuses =
            || -> Result<Vec<u16>> { shop.clients().iter().map(|client| status(&client.get(URL))).collect() };
        shop.policy(
            "p",
            "ALLOW",
            &json!([{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/browser"]}}]}]),
        )?;
        becomes(&shop.cart.get(URL), 403)?;
        assert_eq!(statuses()?, [200, 403, 403]);
        assert_eq!([talks(&shop.web)?, talks(&shop.cart)?, talks(&shop.outsider)?], [true, false, false]);
        let refused = shop.cart.get(URL).send()?;
        assert_eq!(refused.body, "RBAC: access denied");

        shop.policy("p", "ALLOW", &json!([{"from": [{"source": {"namespaces": ["ba*"]}}]}]))?;
        becomes(&shop.cart.get(URL), 200)?;
        assert_eq!(statuses()?, [403, 200, 403]);

        // An end of a name is found on TCP too (CVE-2020-16844).
        shop.policy("p", "DENY", &json!([{"from": [{"source": {"principals": ["*/sa/cart"]}}]}]))?;
        becomes(&shop.web.get(URL), 200)?;
        assert_eq!(statuses()?, [200, 403, 200]);
        assert_eq!([talks(&shop.web)?, talks(&shop.cart)?, talks(&shop.outsider)?], [true, false, true]);

        // Who has no identity is none of those that are excluded (ISTIO-SECURITY-2021-004).
        shop.policy("p", "DENY", &json!([{"from": [{"source": {"notPrincipals": ["*"]}}]}]))?;
        becomes(&shop.outsider.get(URL), 403)?;
        assert_eq!(statuses()?, [200, 200, 403]);
        assert_eq!([talks(&shop.web)?, talks(&shop.outsider)?], [true, false]);

        shop.mesh.delete("AuthorizationPolicy", "shop", "p")?;
        becomes(&shop.outsider.get(URL), 200)?;
        assert_eq!(statuses()?, [200, 200, 200]);
        shop.settled()
    });
}

#[test]
fn by_path_and_method_and_what_denies_comes_first() {
    world(|world| {
        let shop = Shop::start(world)?;
        let web = |method: Method, path: &str| {
            status(&shop.web.call(method, &format!("http://reviews:8080{path}")))
        };
        shop.policy(
            "allow",
            "ALLOW",
            &json!([
                {"to": [{"operation": {"methods": ["GET"], "paths": ["/open/*", "/users/{*}/name", "/files/{**}"]}}]},
                {"to": [{"operation": {"methods": ["POST"]}}], "when": [{"key": "request.headers[x-token]", "values": ["let-*"]}]},
            ]),
        )?;
        becomes(&shop.web.get(URL), 403)?;
        for (path, wanted) in [
            ("/open/a", 200),
            ("/open/a?b=/x", 200),
            ("/open", 403),
            ("/users/7/name", 200),
            ("/users/7/8/name", 403),
            ("/users//name", 403),
            ("/files/a/b", 200),
            ("/x?/open/a", 403),
        ] {
            assert_eq!(web(Method::GET, path)?, wanted, "{path}");
        }
        assert_eq!(web(Method::DELETE, "/open/a")?, 403);
        let post = shop.web.call(Method::POST, URL);
        assert_eq!(status(&post)?, 403);
        assert_eq!(status(&post.clone().header("x-token", "let-me-in"))?, 200);
        // No rule of those that allow looks at the connection alone.
        assert!(!talks(&shop.web)?);

        shop.policy(
            "deny",
            "DENY",
            &json!([{"to": [{"operation": {"paths": ["*/secret"], "ports": ["8080"]}}]}]),
        )?;
        becomes(&shop.web.get("http://reviews:8080/open/secret"), 403)?;
        assert_eq!(web(Method::GET, "/open/a")?, 200);
        shop.settled()
    });
}

#[test]
fn by_what_tokens_say() {
    world(|world| {
        let shop = Shop::start(world)?;
        let issuer = testkit::tokens::Issuer::new()?;
        shop.mesh.apply(&tokens::policy(&json!([{"issuer": "shop", "jwks": issuer.jwks().to_string()}])))?;
        let bearing = |claims: &Value| -> Result<Call> {
            let token = issuer.sign(claims)?;
            Ok(shop.web.get(URL).header("authorization", &format!("Bearer {token}")))
        };
        let mut claims = tokens::claims("shop", "reviews")?;
        claims["groups"] = json!(["readers", "writers"]);
        claims["nested"] = json!({"role": "admin"});
        claims["scope"] = json!("read write");
        becomes(&shop.web.get(URL).header("authorization", "Bearer no.t.oken"), 401)?;
        // Verifying tokens is not asking for them (ISTIO-SECURITY-2021-001).
        assert_eq!(status(&shop.web.get(URL))?, 200);

        shop.policy("p", "ALLOW", &json!([{"from": [{"source": {"requestPrincipals": ["shop/anna"]}}]}]))?;
        becomes(&shop.web.get(URL), 403)?;
        assert_eq!(status(&bearing(&claims)?)?, 200);
        let mut other = claims.clone();
        other["sub"] = json!("eve");
        assert_eq!(status(&bearing(&other)?)?, 403);

        for (key, good, bad) in [
            ("request.auth.claims[groups]", "writers", "owners"),
            ("request.auth.claims[nested][role]", "admin", "user"),
            ("request.auth.claims[scope]", "write", "read write"),
            ("request.auth.audiences", "reviews", "ratings"),
        ] {
            shop.policy("p", "ALLOW", &json!([{"when": [{"key": key, "values": [bad]}]}]))?;
            becomes(&bearing(&claims)?, 403)?;
            shop.policy("p", "ALLOW", &json!([{"when": [{"key": key, "values": [good]}]}]))?;
            becomes(&bearing(&claims)?, 200)?;
            assert_eq!(status(&shop.web.get(URL))?, 403, "{key}");
        }
        shop.settled()
    });
}

#[test]
fn what_is_tried_out_changes_nothing() {
    world(|world| {
        let shop = Shop::start(world)?;
        let mut tried = policy("p", &json!({"action": "DENY", "rules": [{}]}));
        tried["metadata"]["annotations"] = json!({"istio.io/dry-run": "true"});
        shop.mesh.apply(&tried.to_string())?;
        wait_until("the policy to be there", || {
            let answer = shop.web.get(URL).send()?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(shop.reviews.envoy()?.admin_json("/config_dump")?.to_string().contains("istio_dry_run_deny_"))
        })?;
        assert!(talks(&shop.web)?);
        tried["metadata"]["annotations"] = json!({});
        shop.mesh.apply(&tried.to_string())?;
        becomes(&shop.web.get(URL), 403)?;
        assert!(!talks(&shop.web)?);
        shop.settled()
    });
}

/// A policy with a slip in it lets nobody in, until it can be read.
#[test]
fn a_policy_that_cannot_be_read_denies() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.mesh
            .apply(&policy("p", &json!({"rules": [{"to": [{"operation": {"paths": "/"}}]}]})).to_string())?;
        becomes(&shop.web.get(URL), 403)?;
        assert!(!talks(&shop.web)?);
        shop.mesh.tells(&["AuthorizationPolicy/shop/p", "spec.rules[0].to[0].operation.paths"])?;
        shop.policy("p", "ALLOW", &json!([{"to": [{"operation": {"paths": ["/"]}}]}]))?;
        becomes(&shop.web.get(URL), 200)?;
        shop.settled()
    });
}
