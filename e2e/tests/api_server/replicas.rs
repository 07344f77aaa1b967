//! Several replicas on a real API server: the one that writes status counts the proxies of all.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, ControlPlane, Mesh, MeshOptions, cluster, within};
use serde_json::Value;

use super::status::condition;
use super::{RULES, rule};

/// How long it may take until another replica leads, or one that does not answer is left out, and the status tells of it.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the rule's status tells that so many proxies need it and all have it.
fn until_all_have_it(cluster: &Cluster<'_>, proxies: usize) -> Result<()> {
    let wanted = format!("accepted by {proxies} of {proxies} proxies that need it");
    within(LIMIT, &wanted, || {
        let told = condition(&cluster.get(RULES, "shop", "first")?, "Programmed");
        let message = told.get("message").and_then(Value::as_str);
        ensure!(message == Some(wanted.as_str()), "the status tells {told}");
        Ok(Some(()))
    })
}

/// How many proxies of one replica need the rule, by its own page.
fn needed(page: &Value) -> Option<u64> {
    page.as_array()?.iter().find(|row| row["name"] == "first")?["needed"].as_u64()
}

/// The first replica, which leads as it is the only one, and the mesh that its pods are in.
fn first<'w>(cluster: &'w Cluster<'w>) -> Result<Mesh<'w>> {
    cluster.apply(super::NAMESPACES)?;
    let (_, answering) = cluster.pod_of_replica(0)?;
    let flags = vec!["--status=progress".to_owned(), answering];
    let env = vec![("POD_NAME".to_owned(), ControlPlane::pod(0))];
    let mesh = Mesh::on(cluster, MeshOptions { flags, env, ..MeshOptions::default() })?;
    mesh.service("shop", "reviews").port("http", 8080).create()?;
    mesh.apply(&rule("first", "1s"))?;
    Ok(mesh)
}

#[test]
fn the_proxies_of_all_replicas_count_in_the_status() {
    cluster(|cluster| {
        let mesh = first(cluster)?;
        let near = mesh.pod("shop", "near").start()?;
        until_all_have_it(cluster, 1)?;

        let (address, answering) = cluster.pod_of_replica(1)?;
        let second = cluster.replica(1, &["--status=progress", &answering])?;
        for name in ["far-1", "far-2"] {
            mesh.pod("shop", name).discovery(second.discovery()).start()?;
        }
        until_all_have_it(cluster, 3)?;
        let page = second.json("/debug/spreadz")?;
        ensure!(needed(&page) == Some(2), "each tells of its own: {page}");
        let page = mesh.json("/debug/spreadz")?;
        ensure!(needed(&page) == Some(1), "each tells of its own: {page}");

        // Nobody else is told: not even who has made himself a proof of something.
        let url = format!("http://{address}:15014/debug/spreadz");
        for bearer in ["", "Bearer v1.1800000000.00"] {
            let answer = near.get(&url).header("authorization", bearer).send()?;
            ensure!(answer.status == 401 && answer.body.is_empty(), "{answer:?}");
        }

        // The leader ends: its proxies are nobody's until they find another replica.
        mesh.terminate_control_plane()?;
        until_all_have_it(cluster, 2)?;
        let silent = "another replica does not tell";
        within(LIMIT, "the silence to be told", || Ok(second.log()?.contains(silent).then_some(())))?;

        mesh.start_control_plane()?;
        until_all_have_it(cluster, 3)?;
        let log = second.log()?;
        ensure!(log.matches(silent).count() == 1, "the silence is told once:\n{log}");
        ensure!(log.contains("tells again"), "{log}");
        ensure!(!(log + &mesh.log()?).contains("Bearer"), "a proof is in a log");
        mesh.remove(&near).context("a sidecar that followed the replica that came back")
    });
}
