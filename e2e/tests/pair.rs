//! Two sidecars: what is between them is encrypted, each shows its service account, and callers without a sidecar
//! are still served.

use std::time::Duration;

use anyhow::Result;
use e2e::{Echo, Mesh, Pod, World, wait_until, world};
use http::StatusCode;

const MARKER: &str = "is-this-readable-on-the-wire";

/// The name that a sidecar asks for in its handshake: readable on the wire, and only there if there is a handshake.
const SNI_HTTP: &str = "outbound_.8080_._.reviews.shop.svc.cluster.local";
const SNI_TCP: &str = "outbound_.9000_._.reviews.shop.svc.cluster.local";

/// A client and a server, each under a service account of its own, and a Service before the server.
fn shop<'w>(world: &'w World) -> Result<(Mesh<'w>, Pod, Pod)> {
    let mesh = Mesh::start(world)?;
    mesh.service("shop", "reviews").port("http", 8080).port("tcp", 9000).create()?;
    let server = mesh
        .pod("shop", "reviews")
        .service_account("reviewer")
        .app(Echo::http(8080))
        .app(Echo::tcp(9000))
        .start()?;
    let client = mesh.pod("shop", "web").service_account("browser").start()?;
    wait_until("the first answer", || {
        Ok(client.get("http://reviews:8080/").send()?.expect(StatusCode::OK)?.seen().is_ok())
    })?;
    Ok((mesh, client, server))
}

#[test]
fn calls_between_sidecars_are_encrypted_and_show_both_identities() {
    world(|world| {
        let (mesh, client, server) = shop(world)?;
        let handshakes = server.envoy()?.stat("^listener.*ssl.handshake$")?;

        let sniffer = world.sniff()?;
        let answer = client.get("http://reviews:8080/").header("x-marker", MARKER).send()?;
        let capture = sniffer.stop()?;
        let seen = answer.expect(StatusCode::OK)?.seen()?;
        assert_eq!(seen.client_certificate("URI"), ["spiffe://cluster.local/ns/shop/sa/browser"]);
        assert_eq!(seen.client_certificate("By"), ["spiffe://cluster.local/ns/shop/sa/reviewer"]);
        assert_eq!(seen.header("x-marker"), Some(MARKER));
        assert!(capture.frames() > 0);
        assert!(!capture.contains(MARKER), "the request could be read on the wire");

        // A line of raw TCP on a new connection, which shows the handshake too.
        let sniffer = world.sniff()?;
        let session = client.tcp("reviews:9000")?;
        session.send_line(MARKER)?;
        let line = session.read_line()?;
        let capture = sniffer.stop()?;
        assert!(line.starts_with("reviews ") && line.ends_with(MARKER), "{line}");
        assert!(capture.contains(SNI_TCP), "no handshake was seen");
        assert!(!capture.contains(MARKER), "the line could be read on the wire");

        assert!(server.envoy()?.stat("^listener.*ssl.handshake$")? > handshakes);
        let http = "^cluster.outbound.8080..reviews.shop.svc.cluster.local;?.ssl.handshake$";
        assert!(client.envoy()?.stat(http)? > 0);
        mesh.wait_synced(&[&client, &server])
    });
}

#[test]
fn a_caller_without_sidecar_is_served_in_plain_text() {
    world(|world| {
        let (mesh, client, _server) = shop(world)?;
        let outsider = mesh.pod("legacy", "outsider").sidecar(false).start()?;
        let sniffer = world.sniff()?;
        let answer = outsider.get("http://reviews.shop:8080/").header("x-marker", MARKER).send()?;
        let seen = answer.expect(StatusCode::OK)?.seen()?;
        assert_eq!(seen.client_certificate("URI"), Vec::<String>::new());
        let session = outsider.tcp("reviews.shop:9000")?;
        session.send_line("hello")?;
        assert!(session.read_line()?.ends_with(" hello"));
        let capture = sniffer.stop()?;
        // The same look at the wire as in the encrypted case: it can see what is there.
        assert!(capture.contains(MARKER));
        assert!(!capture.contains(SNI_HTTP) && !capture.contains(SNI_TCP));

        // The same server goes on to speak TLS with those who can.
        let seen = client.get("http://reviews:8080/").send()?.expect(StatusCode::OK)?.seen()?;
        assert_eq!(seen.client_certificate("URI"), ["spiffe://cluster.local/ns/shop/sa/browser"]);
        Ok(())
    });
}

#[test]
fn a_sidecar_calls_a_server_without_one_in_plain_text() {
    world(|world| {
        let (mesh, client, _server) = shop(world)?;
        mesh.service("legacy", "ledger").port("http", 8080).create()?;
        mesh.pod("legacy", "ledger").sidecar(false).app(Echo::http(8080)).start()?;
        let seen = wait_until_answered(&client, "http://ledger.legacy:8080/")?;
        assert_eq!((seen.pod.as_str(), seen.header("x-forwarded-client-cert")), ("ledger", None));
        Ok(())
    });
}

#[test]
fn peer_authentication_steers_what_a_server_takes() {
    world(|world| {
        let (mesh, client, server) = shop(world)?;
        let outsider = mesh.pod("legacy", "outsider").sidecar(false).start()?;
        let plain = outsider.get("http://reviews.shop:8080/").timeout(Duration::from_secs(2));
        plain.send()?.expect(StatusCode::OK)?;

        mesh.apply(&peer_authentication("STRICT"))?;
        wait_until("the plain call to be refused", || Ok(plain.send().is_err()))?;
        let seen = client.get("http://reviews:8080/").send()?.expect(StatusCode::OK)?.seen()?;
        assert_eq!(seen.client_certificate("URI"), ["spiffe://cluster.local/ns/shop/sa/browser"]);

        mesh.apply(&peer_authentication("DISABLE"))?;
        wait_until("the plain call to be answered again", || Ok(plain.send()?.status == 200))?;
        // Automatic mTLS follows: the client's sidecar no longer encrypts.
        wait_until("a call without a certificate", || {
            let answer = client.get("http://reviews:8080/").send()?.expect(StatusCode::OK)?;
            Ok(answer.seen()?.client_certificate("URI").is_empty())
        })?;

        mesh.delete("PeerAuthentication", "shop", "default")?;
        wait_until("a call with a certificate", || {
            let answer = client.get("http://reviews:8080/").send()?.expect(StatusCode::OK)?;
            Ok(!answer.seen()?.client_certificate("URI").is_empty())
        })?;
        plain.send()?.expect(StatusCode::OK)?;
        mesh.wait_synced(&[&client, &server])
    });
}

fn peer_authentication(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
         metadata: {{name: default, namespace: shop}}\nspec: {{mtls: {{mode: {mode}}}}}\n"
    )
}

fn wait_until_answered(client: &Pod, url: &str) -> Result<e2e::Seen> {
    e2e::within(Duration::from_secs(20), &format!("an answer from {url}"), || {
        Ok(Some(client.get(url).send()?.expect(StatusCode::OK)?.seen()?))
    })
}
