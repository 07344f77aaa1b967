//! HTTP between stock Envoys at a port of no declared protocol: it is known for HTTP at the server, so policies for HTTP hold
//! there; and bytes still pass as bytes.

use anyhow::Result;
use e2e::{Answer, Echo, Mesh, MeshOptions, Pod, World, wait_until, world};
use http::StatusCode;
use serde_json::json;
use testkit::tokens::Issuer;

use crate::edge::{answers, gateway, host_at};

const URL: &str = "http://catalog.shop:8080/";
const MODES: [&str; 2] = ["PERMISSIVE", "STRICT"];

/// A connection for each request: one that is kept would be under the policies of when it began.
const ONE_EACH: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog, namespace: shop}
spec: {host: catalog, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}
";

/// A service of which nobody says what it speaks, HTTP at one port and lines at the other; its server and a client.
fn shop<'w>(world: &'w World, options: MeshOptions) -> Result<(Mesh<'w>, Pod, Pod)> {
    let mesh = Mesh::start_with(world, options)?;
    mesh.service("shop", "catalog").port("any", 8080).port("other", 9000).create()?;
    let server = mesh.pod("shop", "catalog").app(Echo::http(8080)).app(Echo::tcp(9000)).start()?;
    mesh.apply(ONE_EACH)?;
    let client = mesh.pod("shop", "web").service_account("browser").start()?;
    wait_until("the first answer", || Ok(client.get(URL).send()?.expect(StatusCode::OK)?.seen().is_ok()))?;
    Ok((mesh, client, server))
}

/// Whether it is a refusal, which gRPC tells by a status of its own (16, unauthenticated).
fn is_refused(answer: &Answer) -> bool {
    answer.status == 401 || answer.header("grpc-status") == Some("16")
}

fn mode(mesh: &Mesh<'_>, mode: &str) -> Result<()> {
    mesh.apply(&format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
         metadata: {{name: default, namespace: shop}}\nspec: {{mtls: {{mode: {mode}}}}}"
    ))
}

#[test]
fn policies_for_http_hold_at_ports_of_no_declared_protocol() {
    world(|world| {
        let (mesh, client, server) = shop(world, MeshOptions::default())?;
        let edge = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
        let outside = world.pod("outside", "browser").start()?;
        world.host("catalog.example.com", edge.ip().into())?;
        mesh.apply(&gateway(
            "edge",
            "  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*.example.com']}\n",
        ))?;
        mesh.apply(
            &host_at("edge", "catalog").replace("host: catalog", "host: catalog, port: {number: 8080}"),
        )?;
        let inside = [client.get(URL), client.get(URL).http2(), client.grpc(URL, "hello")];
        let through = outside.get("http://catalog.example.com:8080/");
        for name in MODES {
            mode(&mesh, name)?;
            mesh.wait_synced(&[&server, &client, &edge])?;
            for call in inside.iter().chain([&through]) {
                let seen = answers(call, 200)?.seen()?;
                assert_eq!(seen.client_certificate("By"), ["spiffe://cluster.local/ns/shop/sa/default"]);
            }
            mesh.apply(&tokens(&Issuer::new()?.jwks().to_string()))?;
            for call in inside.iter().chain([&through]) {
                let bad = call.clone().header("authorization", "Bearer not.a.token");
                wait_until("a bad token to be refused", || Ok(is_refused(&bad.send()?)))?;
                answers(call, 200)?;
            }
            mesh.delete("RequestAuthentication", "shop", "tokens")?;

            // Bytes are bytes, on the other port of the same service.
            let session = client.tcp("catalog.shop:9000")?;
            session.send_line("hello")?;
            assert!(session.read_line()?.ends_with(" hello"));
        }
        Ok(())
    });
}

#[test]
fn without_the_announcement_http_arrives_as_bytes() {
    world(|world| {
        let env = vec![("PILOTHOUSE_ANNOUNCE_HTTP".to_owned(), "false".to_owned())];
        let (mesh, client, server) = shop(world, MeshOptions { env, ..MeshOptions::default() })?;
        mode(&mesh, "STRICT")?;
        mesh.apply(&tokens(&Issuer::new()?.jwks().to_string()))?;
        mesh.wait_synced(&[&server, &client])?;
        // What the other stories guard against: nobody looks at the token.
        answers(&client.get(URL).header("authorization", "Bearer not.a.token"), 200)?;
        Ok(())
    });
}

fn tokens(keys: &str) -> String {
    let policy = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "catalog"}}, "jwtRules": [{"issuer": "shop", "jwks": keys}]},
    });
    policy.to_string()
}
