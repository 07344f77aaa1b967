//! Addresses at a gateway: of the connection, and of the client that proxies before it tell of.

use anyhow::{Result, ensure};
use e2e::{Echo, Mesh, MeshOptions, Pod, World, world};
use serde_json::{Value, json};

use super::{becomes, status};
use crate::edge::{gateway, host_at};

fn start(world: &World, hops: u32) -> Result<(Mesh<'_>, Pod)> {
    let config = format!("defaultConfig: {{gatewayTopology: {{numTrustedProxies: {hops}}}}}");
    let mesh = Mesh::start_with(world, MeshOptions { mesh_config: Some(config), ..MeshOptions::default() })?;
    mesh.service("shop", "catalog").port("http", 8080).create()?;
    mesh.pod("shop", "catalog").sidecar(false).app(Echo::http(8080)).start()?;
    let edge = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
    let client = world.pod("outside", "browser").start()?;
    world.host("catalog.example.com", edge.ip().into())?;
    mesh.apply(&gateway(
        "edge",
        "  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*.example.com']}\n",
    ))?;
    mesh.apply(&host_at("edge", "catalog"))?;
    Ok((mesh, client))
}

fn only(mesh: &Mesh<'_>, source: &Value) -> Result<()> {
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "only", "namespace": "edge"},
        "spec": {"selector": {"matchLabels": {"istio": "edge"}}, "rules": [{"from": [{"source": source}]}]},
    });
    mesh.apply(&policy.to_string())
}

const URL: &str = "http://catalog.example.com:8080/";

#[test]
fn by_the_address_of_the_connection_or_of_the_client() {
    world(|world| {
        let (mesh, client) = start(world, 1)?;
        let plain = client.get(URL);
        let from = |address: &str| client.get(URL).header("x-forwarded-for", address);
        becomes(&plain, 200)?;
        only(&mesh, &json!({"ipBlocks": ["198.51.100.1"]}))?;
        becomes(&plain, 403)?;
        // What is told of the client is not the connection.
        assert_eq!(status(&from("198.51.100.1"))?, 403);
        only(&mesh, &json!({"ipBlocks": [format!("{}/32", client.ip())]}))?;
        becomes(&plain, 200)?;

        only(&mesh, &json!({"remoteIpBlocks": ["198.51.100.0/24"]}))?;
        becomes(&plain, 403)?;
        assert_eq!(status(&from("198.51.100.1"))?, 200);
        assert_eq!(status(&from("198.51.101.1"))?, 403);
        // The trusted proxy wrote the last address, the client those before it.
        assert_eq!(status(&from("198.51.100.1, 203.0.113.9"))?, 403);
        assert_eq!(status(&from("203.0.113.9, 198.51.100.1"))?, 200);
        Ok(())
    });
}

#[test]
fn without_trusted_proxies_nobody_says_who_the_client_is() {
    world(|world| {
        let (mesh, client) = start(world, 0)?;
        becomes(&client.get(URL), 200)?;
        only(&mesh, &json!({"remoteIpBlocks": ["198.51.100.0/24"]}))?;
        becomes(&client.get(URL), 403)?;
        let told = client.get(URL).header("x-forwarded-for", "198.51.100.1").send()?;
        ensure!(told.status == 403, "{told:?}");
        only(&mesh, &json!({"remoteIpBlocks": [client.ip().to_string()]}))?;
        becomes(&client.get(URL), 200)
    });
}
