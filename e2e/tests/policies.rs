//! What DestinationRules do to traffic: which endpoint is chosen, which is passed by, how a connection begins.

use std::collections::BTreeSet;

use anyhow::ensure;
use e2e::{Authority, Echo, Mesh, wait_until, world};

use crate::edge::file;
use crate::shop::{CLUSTERS, REVIEWS, Shop, answered, in_force, policy, seen};

#[test]
fn a_hash_keeps_a_user_at_one_endpoint() {
    world(|world| {
        let shop = Shop::start(world)?;
        let client = &shop.client;
        shop.mesh.apply(&policy("reviews", "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}"))?;
        in_force(client, "/config_dump?resource=dynamic_route_configs", "x-user")?;
        in_force(client, CLUSTERS, "RING_HASH")?;
        let mut used = BTreeSet::new();
        for user in 0..12 {
            let call = client.get(REVIEWS).header("x-user", &format!("user-{user}"));
            let first = call.send()?.seen()?.pod;
            for _ in 0..3 {
                let again = call.send()?.seen()?.pod;
                ensure!(again == first, "user-{user} went to {first}, then to {again}");
            }
            used.insert(first);
        }
        ensure!(used.len() == 2, "all users went to {used:?}");
        shop.mesh.wait_synced(&[client])
    });
}

#[test]
fn an_endpoint_that_fails_is_passed_by() {
    world(|world| {
        let shop = Shop::start(world)?;
        let client = &shop.client;
        shop.mesh.apply(&policy(
            "reviews",
            "{outlierDetection: {consecutive5xxErrors: 2, interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 100}}",
        ))?;
        in_force(client, CLUSTERS, "max_ejection_percent")?;
        shop.v1.app().answer_with(Some(503));
        wait_until("the failing endpoint to be ejected", || {
            client.get(REVIEWS).send()?;
            Ok(client.envoy()?.stat("outbound.8080..reviews.*outlier_detection.ejections_active$")? == 1)
        })?;
        for _ in 0..10 {
            ensure!(seen(client, REVIEWS)?.pod == "reviews-v2");
        }
        shop.mesh.wait_synced(&[client])
    });
}

#[test]
fn a_sidecar_begins_tls_with_what_is_outside() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let authority = Authority::new()?;
        let clients = Authority::new()?;
        let identity = authority.issue(&["simple.example.com", "mutual.example.com"])?;
        let simple = world.pod("outside", "simple").app(Echo::https(8443, &identity)?).start()?;
        let app = Echo::https_for(8443, &identity, &clients.pem())?;
        let mutual = world.pod("outside", "mutual").app(app).start()?;
        let own = clients.issue(&["web.shop"])?;
        let roots = file(world, "roots.pem", &authority.pem())?;
        let (certificate, key) =
            (file(world, "web.pem", &own.certificate)?, file(world, "web.key", &own.key)?);
        let client = mesh.pod("shop", "web").start()?;
        for (name, pod, tls) in [
            ("simple", &simple, format!("{{mode: SIMPLE, caCertificates: {roots}}}")),
            (
                "mutual",
                &mutual,
                format!(
                    "{{mode: MUTUAL, caCertificates: {roots}, clientCertificate: {certificate}, privateKey: {key}, sni: mutual.example.com}}"
                ),
            ),
        ] {
            world.host(&format!("{name}.example.com"), pod.ip().into())?;
            mesh.apply(&format!(
                "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 8443}}]
  endpoints: [{{address: {}}}]
---
{}",
                pod.ip(),
                policy(&format!("{name}.example.com"), &format!("{{tls: {tls}}}"))
            ))?;
            let url = format!("http://{name}.example.com/");
            let tls = answered(&client, &url)?.tls;
            let tls = tls.ok_or_else(|| anyhow::anyhow!("{name} was called in plain text"))?;
            ensure!(tls.sni.as_deref() == Some(&*format!("{name}.example.com")), "{tls:?}");
            let shown = if name == "mutual" { vec!["web.shop".to_owned()] } else { Vec::new() };
            ensure!(tls.client == shown, "{tls:?}");
        }
        mesh.wait_synced(&[&client])
    });
}

#[test]
fn a_connection_begins_with_the_clients_address() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "ledger").port("tcp", 9000).create()?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        mesh.pod("shop", "ledger").sidecar(false).app(Echo::tcp(9000)).start()?;
        mesh.pod("shop", "reviews").sidecar(false).app(Echo::http(8080)).start()?;
        let client = mesh.pod("shop", "web").start()?;
        answered(&client, REVIEWS)?;
        mesh.apply(&policy("ledger", "{proxyProtocol: {version: V1}}"))?;
        let header = format!("PROXY TCP4 {}", client.ip());
        wait_until("a header of the PROXY protocol", || {
            let session = client.tcp("ledger:9000")?;
            session.send_line("hello")?;
            let line = session.read_line()?;
            Ok(line.contains(&header) && session.read_line()?.ends_with(" hello"))
        })?;
        mesh.wait_synced(&[&client])
    });
}
