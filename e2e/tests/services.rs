//! Services of several kinds, what is outside of the mesh, and what a sidecar is told of.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Echo, Mesh, Pod, wait_until, world};
use http::StatusCode;

use crate::shop::{answered, answered_with, seen};

/// The count of requests and connections that a client's sidecar sent to a cluster; `.` stands for `|`.
fn used(client: &Pod, cluster: &str) -> Result<u64> {
    client.envoy()?.stat(&format!("^cluster.{cluster};?.upstream_(rq|cx)_total$"))
}

#[test]
fn tcp_headless_grpc_and_undeclared_protocols() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let ports = |name: &str| {
            let service = mesh.service("shop", name).port("tcp-lines", 9000).port("tcp-greeting", 9001);
            service.port("grpc", 7000).port("anything", 7001).port("http", 8080)
        };
        ports("ledger").create()?;
        ports("members").headless().selector(&[("app", "ledger")]).create()?;
        let app = |pod: e2e::PodBuilder<'_>| {
            let pod = pod.sidecar(false).labels(&[("app", "ledger")]).app(Echo::tcp(9000));
            let pod = pod.app(Echo::tcp_with_banner(9001)).app(Echo::http(7000)).app(Echo::http(7001));
            pod.app(Echo::http(8080)).start()
        };
        let first = app(mesh.pod("shop", "ledger-1"))?;
        app(mesh.pod("shop", "ledger-2"))?;
        let client = mesh.pod("shop", "web").start()?;
        answered(&client, "http://ledger:8080/")?;

        let session = client.tcp("ledger:9000")?;
        session.send_line("hello")?;
        assert!(session.read_line()?.ends_with(" hello"));
        assert!(client.tcp("ledger:9001")?.read_line()?.starts_with("220 ledger-"));
        assert!(used(&client, "outbound.9001..ledger.shop.svc.cluster.local")? > 0);

        let answer = client.grpc("http://ledger:7000/pkg.Service/Method?grpc-status=5", "hello").send()?;
        assert!(answer.seen()?.body.ends_with("hello"));
        assert_eq!(
            answer.trailers.as_ref().and_then(|t| t.get("grpc-status")).map(|s| s.as_bytes()),
            Some(&b"5"[..])
        );

        // Found to be HTTP by what the client sends: Envoy then gives requests an id.
        assert!(seen(&client, "http://ledger:7001/")?.header("x-request-id").is_some());
        let session = client.tcp("ledger:9000")?;
        session.send_line("GET is no HTTP here")?;
        assert!(session.read_line()?.ends_with(" GET is no HTTP here"));

        // A headless Service's name stands for its pods' addresses: the one that was asked for answers.
        let address = format!("{}:9000", first.ip());
        let before = used(&client, "outbound.9000..members.shop.svc.cluster.local")?;
        for authority in ["members:9000", address.as_str()] {
            let session = client.tcp(authority)?;
            session.send_line("hello")?;
            assert!(session.read_line()?.starts_with("ledger-1 "));
        }
        assert!(used(&client, "outbound.9000..members.shop.svc.cluster.local")? > before);
        assert_eq!(seen(&client, "http://members:8080/")?.pod, "ledger-1");
        mesh.wait_synced(&[&client])
    });
}

#[test]
fn service_entries_and_what_is_not_declared() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let outside =
            |name: &str| world.pod("outside", name).app(Echo::http(8080)).app(Echo::tcp(9000)).start();
        let (named, fixed, unknown) = (outside("named")?, outside("fixed")?, outside("unknown")?);
        world.host("api.example.com", named.ip().into())?;
        world.host("fixed.example.com", "240.0.0.9".parse()?)?;
        world.host("unknown.example.com", unknown.ip().into())?;
        let client = mesh.pod("shop", "web").start()?;
        mesh.apply(&format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: named, namespace: shop}}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 8080, name: http, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: fixed, namespace: shop}}
spec:
  hosts: [fixed.example.com]
  addresses: [240.0.0.9]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: 8080}}
  - {{number: 9000, name: tcp, protocol: TCP}}
  endpoints: [{{address: {}}}]
",
            fixed.ip()
        ))?;
        wait_until("the named host's cluster", || {
            seen(&client, "http://api.example.com:8080/")?;
            Ok(used(&client, "outbound.8080..api.example.com")? > 0)
        })?;
        assert_eq!(seen(&client, "http://api.example.com:8080/")?.pod, "named");
        assert_eq!(answered(&client, "http://fixed.example.com/")?.pod, "fixed");
        let session = client.tcp("fixed.example.com:9000")?;
        session.send_line("hello")?;
        assert!(session.read_line()?.starts_with("fixed "));

        // What nobody declared is let through: on a port with HTTP rules by its route, else by the listener.
        assert_eq!(seen(&client, "http://unknown.example.com:8080/")?.pod, "unknown");
        let session = client.tcp(&format!("{}:9000", unknown.ip()))?;
        session.send_line("hello")?;
        assert!(session.read_line()?.starts_with("unknown "));
        assert!(used(&client, "PassthroughCluster")? >= 2);

        // Until the mesh says otherwise.
        mesh.apply(
            "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}
",
        )?;
        answered_with(&client, "http://unknown.example.com:8080/", 502)?;
        wait_until("the listener to close what nobody declared", || {
            let session = client.tcp(&format!("{}:9000", unknown.ip()))?;
            Ok(session.closed_within(Duration::from_secs(1)).is_ok())
        })?;
        assert_eq!(seen(&client, "http://api.example.com:8080/")?.pod, "named");
        assert_eq!(seen(&client, "http://fixed.example.com/")?.pod, "fixed");
        mesh.wait_synced(&[&client])
    });
}

#[test]
fn a_sidecar_is_told_only_of_what_its_scope_names() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        for (namespace, name) in [("shop", "reviews"), ("bank", "ledger"), ("bank", "vault")] {
            mesh.service(namespace, name).port("http", 8080).create()?;
            mesh.pod(namespace, name).sidecar(false).app(Echo::http(8080)).start()?;
        }
        let client = mesh.pod("shop", "web").start()?;
        let other = mesh.pod("bank", "teller").start()?;
        for url in ["http://reviews.shop:8080/", "http://ledger.bank:8080/", "http://vault.bank:8080/"] {
            answered(&client, url)?;
            answered(&other, url)?;
        }
        mesh.apply(
            "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress: [{hosts: ['./*', 'bank/ledger.bank.svc.cluster.local']}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
",
        )?;
        answered_with(&client, "http://vault.bank:8080/", 502)?;
        for url in ["http://reviews.shop:8080/", "http://ledger.bank:8080/"] {
            client.get(url).send()?.expect(StatusCode::OK)?;
        }
        let clusters = |pod: &Pod| pod.envoy()?.admin("/clusters");
        wait_until("the cluster to be taken away", || Ok(!clusters(&client)?.contains("vault.bank")))?;
        assert!(clusters(&client)?.contains("ledger.bank"));
        assert!(clusters(&other)?.contains("vault.bank"), "the scope of another namespace changed too");
        seen(&other, "http://vault.bank:8080/")?;

        mesh.delete("Sidecar", "shop", "default")?;
        answered(&client, "http://vault.bank:8080/")?;
        mesh.wait_synced(&[&client, &other])
    });
}

#[test]
fn a_sidecars_listeners_lead_to_places_of_the_app() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port_to("http", 8080, 9080).port_to("tcp", 9000, 9081).create()?;
        mesh.service("shop", "own").selector(&[("app", "reviews")]).port_to("http", 8080, 9082).create()?;
        let socket = world.dir().join("app.sock");
        mesh.apply(&format!(
            "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: reviews, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: reviews}}}}
  ingress:
  - {{port: {{number: 9080, protocol: HTTP, name: http}}, defaultEndpoint: '127.0.0.1:8081'}}
  - {{port: {{number: 9081, protocol: TCP, name: tcp}}, defaultEndpoint: 'unix://{}'}}
  - {{port: {{number: 9082, protocol: HTTP, name: own}}, defaultEndpoint: '0.0.0.0:8082'}}
",
            socket.display()
        ))?;
        let loopback = Echo::http(8081).on(Ipv4Addr::LOCALHOST.into());
        let server = mesh.pod("shop", "reviews").app(loopback).app(Echo::tcp(0).at(&socket));
        let server = server.app(Echo::http(8082)).start()?;
        let client = mesh.pod("shop", "web").start()?;
        for (url, local) in [
            ("http://reviews:8080/", "127.0.0.1:8081".to_owned()),
            ("http://own:8080/", format!("{}:8082", server.ip())),
        ] {
            let seen = answered(&client, url)?;
            ensure!(seen.local.to_string() == local, "{seen:?}");
            ensure!(seen.client_certificate("URI").len() == 1, "no mutual TLS: {seen:?}");
        }
        wait_until("a line by the socket", || {
            let session = client.tcp("reviews:9000")?;
            session.send_line("hello")?;
            Ok(session.read_line()? == "reviews 0.0.0.0:0 hello")
        })?;
        mesh.wait_synced(&[&client, &server])
    });
}
