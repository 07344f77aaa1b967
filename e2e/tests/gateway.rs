//! Gateways: hosts, redirects and TLS at the mesh's edge.

use anyhow::Result;
use e2e::{Authority, Echo, Mesh, MeshOptions, Pod, World, world};
use http::StatusCode;

use crate::edge::{answers, certificate, file, gateway, host_at, https};

/// A gateway `edge`, an outside client, and two services in the mesh.
struct Edge<'w> {
    mesh: Mesh<'w>,
    client: Pod,
    gateway: Pod,
}

impl<'w> Edge<'w> {
    fn start(world: &'w World) -> Result<Self> {
        Self::start_with(world, MeshOptions::default())
    }

    fn start_with(world: &'w World, options: MeshOptions) -> Result<Self> {
        let mesh = Mesh::start_with(world, options)?;
        for name in ["catalog", "cart"] {
            mesh.service("shop", name).port("http", 8080).create()?;
            mesh.pod("shop", name).sidecar(false).app(Echo::http(8080)).start()?;
        }
        let gateway = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
        let client = world.pod("outside", "browser").start()?;
        for host in ["catalog.example.com", "cart.example.com", "pay.example.com"] {
            world.host(host, gateway.ip().into())?;
        }
        Ok(Self { mesh, client, gateway })
    }
}

#[test]
fn hosts_and_paths_choose_the_service() {
    world(|world| {
        let edge = Edge::start(world)?;
        edge.mesh.apply(
            "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*.example.com']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: shop}
spec:
  hosts: [catalog.example.com]
  gateways: [edge/edge]
  http:
  - match: [{uri: {prefix: /cart}}]
    rewrite: {uri: /}
    route: [{destination: {host: cart}}]
  - route: [{destination: {host: catalog}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart.example.com]
  gateways: [edge/edge]
  http: [{route: [{destination: {host: cart.shop.svc.cluster.local, port: {number: 8080}}}]}]
",
        )?;
        let get = |host: &str, path: &str| edge.client.get(&format!("http://{host}:8080{path}"));
        answers(&get("catalog.example.com", "/a"), 200)?;
        answers(&get("cart.example.com", "/a"), 200)?;
        let seen = get("catalog.example.com", "/a?b=c").send()?.expect(StatusCode::OK)?.seen()?;
        assert_eq!((seen.pod.as_str(), seen.path.as_str()), ("catalog", "/a?b=c"));
        assert_eq!(seen.header("x-forwarded-for"), Some(edge.client.ip().to_string().as_str()));
        let seen = get("catalog.example.com", "/cart").send()?.expect(StatusCode::OK)?.seen()?;
        assert_eq!((seen.pod.as_str(), seen.path.as_str()), ("cart", "/"));
        let seen = get("cart.example.com", "/a").send()?.expect(StatusCode::OK)?.seen()?;
        assert_eq!(seen.pod, "cart");
        get("pay.example.com", "/").send()?.expect(StatusCode::NOT_FOUND)?;

        edge.mesh.delete("VirtualService", "shop", "cart")?;
        answers(&get("cart.example.com", "/a"), 404)?;
        get("catalog.example.com", "/a").send()?.expect(StatusCode::OK)?;
        edge.gateway.wait_settled()
    });
}

#[test]
fn tls_ends_at_the_gateway_and_plain_http_is_sent_there() {
    world(|world| {
        let edge = Edge::start(world)?;
        let authority = Authority::new()?;
        let identity = authority.issue(&["catalog.example.com"])?;
        let tls = format!("mode: SIMPLE, {}", certificate(world, "edge", &identity)?);
        let plain = "  - port: {number: 8080, name: http, protocol: HTTP}\n    hosts: [catalog.example.com]\n    \
                     tls: {httpsRedirect: true}\n";
        let ends = https("https", 8443, "catalog.example.com", &tls);
        edge.mesh.apply(&gateway("edge", &format!("{plain}{ends}")))?;
        edge.mesh.apply(&host_at("edge", "catalog"))?;
        let call = edge.client.get("https://catalog.example.com:8443/").trust(&authority.pem());
        let answer = answers(&call, 200)?;
        let seen = answer.seen()?;
        assert_eq!((seen.pod.as_str(), seen.header("x-forwarded-proto")), ("catalog", Some("https")));
        assert_eq!(call.clone().http2().send()?.seen()?.pod, "catalog");
        call.trust(&Authority::new()?.pem()).send().expect_err("another root");
        let plain = answers(&edge.client.get("http://catalog.example.com:8080/a"), 301)?;
        let location = plain.header("location").unwrap_or_default();
        assert!(location.starts_with("https://catalog.example.com"), "{plain:?}");
        edge.gateway.wait_settled()
    });
}

#[test]
fn tls_passes_through_to_the_service_that_the_client_names() {
    world(|world| {
        let edge = Edge::start(world)?;
        let authority = Authority::new()?;
        edge.mesh.service("shop", "pay").port("tls", 8443).create()?;
        let app = Echo::https(8443, &authority.issue(&["pay.example.com"])?)?;
        edge.mesh.pod("shop", "pay").sidecar(false).app(app).start()?;
        edge.mesh.apply(
            "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  selector: {istio: edge}
  servers:
  - port: {number: 8443, name: tls, protocol: TLS}
    hosts: ['*.example.com']
    tls: {mode: PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay.example.com]
  gateways: [edge/edge]
  tls:
  - match: [{port: 8443, sniHosts: [pay.example.com]}]
    route: [{destination: {host: pay, port: {number: 8443}}}]
",
        )?;
        let call = edge.client.get("https://pay.example.com:8443/").trust(&authority.pem());
        let seen = answers(&call, 200)?.seen()?;
        assert_eq!(seen.pod, "pay");
        assert_eq!(seen.tls.and_then(|tls| tls.sni).as_deref(), Some("pay.example.com"));
        let other = edge.client.get("https://cart.example.com:8443/").trust(&authority.pem());
        other.send().expect_err("no rule names this host");
        edge.gateway.wait_settled()
    });
}

#[test]
fn requests_on_a_connection_for_another_host_are_sent_to_one_of_their_own() {
    world(|world| {
        let env = vec![("PILOTHOUSE_ANSWER_MISDIRECTED".to_owned(), "true".to_owned())];
        let edge = Edge::start_with(world, MeshOptions { env, ..MeshOptions::default() })?;
        let authority = Authority::new()?;
        // One certificate for both hosts, as browsers re-use connections by.
        let identity = authority.issue(&["catalog.example.com", "cart.example.com", "pay.example.com"])?;
        let tls = format!("mode: SIMPLE, {}", certificate(world, "edge", &identity)?);
        for name in ["catalog", "cart"] {
            let server = https("https", 8443, &format!("{name}.example.com"), &tls);
            edge.mesh.apply(&gateway(name, &server))?;
            edge.mesh.apply(&host_at(name, name))?;
        }
        let connection = edge.client.get("https://catalog.example.com:8443/").trust(&authority.pem()).http2();
        answers(&connection.clone().host("cart.example.com:8443"), 421)?;
        assert_eq!(answers(&connection, 200)?.seen()?.pod, "catalog");
        let own = edge.client.get("https://cart.example.com:8443/").trust(&authority.pem()).http2();
        assert_eq!(answers(&own, 200)?.seen()?.pod, "cart");
        connection.host("pay.example.com:8443").send()?.expect(StatusCode::NOT_FOUND)?;
        edge.gateway.wait_settled()
    });
}

#[test]
fn several_servers_of_a_port_are_told_apart_by_name_and_ask_for_certificates() {
    world(|world| {
        let edge = Edge::start(world)?;
        let (servers, clients) = (Authority::new()?, Authority::new()?);
        let roots = file(world, "clients.pem", &clients.pem())?;
        let mut listed = String::new();
        for (name, mode) in [("catalog", "SIMPLE"), ("cart", "MUTUAL"), ("pay", "OPTIONAL_MUTUAL")] {
            let host = format!("{name}.example.com");
            let identity = servers.issue(&[&host])?;
            let certificate = certificate(world, name, &identity)?;
            let ask = if mode == "SIMPLE" { String::new() } else { format!(", caCertificates: {roots}") };
            let tls = format!("mode: {mode}, {certificate}{ask}");
            listed.push_str(&https(&format!("https-{name}"), 8443, &host, &tls));
        }
        edge.mesh.apply(&gateway("edge", &listed))?;
        edge.mesh.apply(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: shop}
spec:
  hosts: ['*.example.com']
  gateways: [edge/edge]
  http:
  - {match: [{authority: {prefix: catalog}}], route: [{destination: {host: catalog}}]}
  - {route: [{destination: {host: cart}}]}
",
        )?;
        let known = clients.issue(&["client.example.com"])?;
        let call =
            |name: &str| edge.client.get(&format!("https://{name}.example.com:8443/")).trust(&servers.pem());
        assert_eq!(answers(&call("catalog"), 200)?.seen()?.pod, "catalog");
        let shown = call("cart").identity(&known);
        assert_eq!(answers(&shown, 200)?.seen()?.pod, "cart");
        call("cart").send().expect_err("no client certificate");
        assert_eq!(call("pay").send()?.seen()?.pod, "cart");
        assert_eq!(call("pay").identity(&known).send()?.seen()?.pod, "cart");
        edge.gateway.wait_settled()
    });
}
