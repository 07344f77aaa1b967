//! How connections reach a sidecar: without a change of their addresses, or by no redirects at all.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Call, Echo, InterceptionMode, Mesh, MeshOptions, Pod, within, world};
use http::StatusCode;

use crate::shop::{REVIEWS, answered};

/// From where sidecars call their own app unless they keep the caller's address.
const SIDECAR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));

/// Where sidecars take requests of clients that are told of an HTTP proxy.
const HTTP_PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15002);

/// What servers whose traffic is not redirected say of their ports.
const LISTENERS: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: reviews, namespace: shop}
spec:
  workloadSelector: {labels: {app: reviews}}
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:9080'}
  - {port: {number: 9000, protocol: TCP, name: tcp}, defaultEndpoint: '127.0.0.1:9001'}
";

/// The address that the app of `ledger` sees of a TCP client.
fn seen_over_tcp(client: &Pod, authority: &str) -> Result<IpAddr> {
    let session = client.tcp(authority)?;
    session.send_line("hello")?;
    let line = session.read_line()?;
    let peer = line.split(' ').nth(1).with_context(|| format!("no address in {line:?}"))?;
    Ok(peer.parse::<SocketAddr>()?.ip())
}

#[test]
fn tproxy_keeps_the_callers_address() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).port("tcp", 9000).create()?;
        let server = |name: &str, mode| {
            let pod = mesh.pod("shop", name).labels(&[("app", name)]).interception(mode);
            // No Service has the last port: what goes there is passed through.
            pod.app(Echo::http(8080)).app(Echo::tcp(9000)).app(Echo::tcp(9999)).start()
        };
        let transparent = server("reviews", InterceptionMode::Tproxy)?;
        let usual = server("usual", InterceptionMode::Redirect)?;
        let client = mesh.pod("shop", "web").start()?;
        let plain = mesh.pod("shop", "plain").sidecar(false).start()?;
        for caller in [&client, &plain] {
            let seen = answered(caller, REVIEWS)?;
            ensure!(seen.peer.ip() == caller.ip(), "{seen:?} of {caller:?}");
            let mutual = !seen.client_certificate("URI").is_empty();
            ensure!(mutual == caller.envoy().is_ok(), "mutual TLS with {caller:?}: {mutual}");
            ensure!(seen_over_tcp(caller, "reviews:9000")? == caller.ip());
            ensure!(seen_over_tcp(caller, &format!("{}:9999", transparent.ip()))? == caller.ip());
            // The difference is the mode's.
            ensure!(seen_over_tcp(caller, &format!("{}:9999", usual.ip()))? == SIDECAR);
        }
        let inbound = transparent.envoy()?.stat("listener.0.0.0.0_15006.downstream_cx_total$")?;
        ensure!(inbound >= 6, "the sidecar took {inbound} connections");
        // Its own calls, to itself by way of its Service too.
        let seen = answered(&transparent, REVIEWS)?;
        ensure!(seen.pod == "reviews", "{seen:?}");
        mesh.wait_synced(&[&client, &transparent])
    });
}

/// Waits until the app of `reviews` answers a call, which its sidecar must have led there from that of the client.
fn by_sidecar(way: &str, call: &Call) -> Result<()> {
    let what = format!("an answer by way of {way}");
    let seen = within(Duration::from_secs(20), &what, || call.send()?.seen().map(Some))?;
    ensure!(seen.pod == "reviews" && seen.local.to_string() == "127.0.0.1:9080", "{seen:?}");
    ensure!(seen.client_certificate("URI").len() == 1, "no mutual TLS: {seen:?}");
    Ok(())
}

#[test]
fn without_redirects_apps_speak_with_ports_of_their_sidecar() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        mesh.service("shop", "ledger").selector(&[("app", "reviews")]).port("tcp", 9000).create()?;
        mesh.apply(LISTENERS)?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let server = mesh.pod("shop", "reviews").interception(InterceptionMode::None);
        let server = server.app(Echo::http(9080).on(loopback)).app(Echo::tcp(9001).on(loopback)).start()?;
        let client = mesh.pod("shop", "web").interception(InterceptionMode::None).start()?;
        let plain = mesh.pod("shop", "plain").sidecar(false).start()?;

        // The sidecar listens for its app at each port that a Service of the mesh has.
        let own = |host: &str| client.get("http://127.0.0.1:8080/").host(host);
        by_sidecar("port 8080", &own("reviews:8080"))?;
        ensure!(seen_over_tcp(&client, "127.0.0.1:9000")?.is_loopback());
        // What it does not send there goes past the sidecar, and to the server's as plain text.
        for caller in [&client, &plain] {
            let seen = answered(caller, REVIEWS)?;
            ensure!(seen.client_certificate("URI").is_empty(), "{seen:?}");
            ensure!(seen_over_tcp(caller, "ledger:9000")?.is_loopback());
        }

        // A listener of its own making leads to fewer hosts.
        mesh.service("shop", "hidden").selector(&[("app", "reviews")]).port("http", 8080).create()?;
        by_sidecar("port 8080, as another host", &own("hidden:8080"))?;
        mesh.apply(
            "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  egress:
  - {port: {number: 8080, protocol: HTTP, name: http}, bind: 127.0.0.1, hosts: ['./reviews.shop.svc.cluster.local']}
",
        )?;
        within(Duration::from_secs(20), "the listener of the Sidecar", || {
            Ok((own("hidden:8080").send()?.status == 503).then_some(()))
        })?;
        by_sidecar("the narrower port 8080", &own("reviews:8080"))?;
        client.wait_settled()?;
        server.wait_settled()
    });
}

#[test]
fn a_sidecar_is_the_http_proxy_of_clients_that_know_of_it() {
    world(|world| {
        let mesh_config = Some(format!("proxyHttpPort: {}", HTTP_PROXY.port()));
        let mesh = Mesh::start_with(world, MeshOptions { mesh_config, ..MeshOptions::default() })?;
        mesh.service("shop", "reviews").port_to("http", 80, 9080).create()?;
        mesh.pod("shop", "reviews").app(Echo::http(9080)).start()?;
        let client = mesh.pod("shop", "web").start()?;
        let call = client.get("http://reviews.shop/a?b=c").through(HTTP_PROXY);
        let seen =
            within(Duration::from_secs(20), "an answer by the proxy", || call.send()?.seen().map(Some))?;
        ensure!((seen.host.as_str(), seen.path.as_str()) == ("reviews.shop", "/a?b=c"), "{seen:?}");
        ensure!(seen.client_certificate("URI").len() == 1, "no mutual TLS: {seen:?}");
        // What no Service has cannot be passed through: the connection itself was to the proxy.
        let unknown = client.get("http://nobody.example.com/").through(HTTP_PROXY).send()?;
        unknown.expect(StatusCode::SERVICE_UNAVAILABLE)?;
        mesh.wait_synced(&[&client])
    });
}
