//! Changes under load: whatever comes, goes or restarts, no request may fail.

use anyhow::{Context, Result};
use e2e::{Echo, Load, Mesh, Pod, wait_until, world};

use crate::shop::{REVIEWS, SUBSETS, Shop, answered, says, virtual_service};

/// A server of `reviews` with a sidecar.
fn server(mesh: &Mesh<'_>, name: &str) -> Result<Pod> {
    mesh.pod("shop", name).labels(&[("app", "reviews")]).app(Echo::http(8080)).start()
}

/// Ends a load that must not have had a single failure.
fn all_well(load: Load) -> Result<()> {
    load.wait_for(50)?;
    load.stop().only_successes()
}

#[test]
fn scaling_up_and_down() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        let mut old = server(&mesh, "reviews-0")?;
        let client = mesh.pod("shop", "web").start()?;
        answered(&client, REVIEWS)?;
        let load = client.load(REVIEWS, 4)?;
        load.wait_for(50)?;
        for name in ["reviews-1", "reviews-2"] {
            let new = server(&mesh, name)?;
            wait_until(&format!("answers of {name}"), || Ok(load.so_far().by_pod.contains_key(name)))?;
            mesh.set_ready(&old, false)?;
            // Envoy is told of pods that are not ready, as the reference does, and passes them by.
            let passed_by = format!("{}:8080::health_flags::/failed_eds_health", old.ip());
            wait_until("the client's sidecar to pass the old pod by", || {
                Ok(client.envoy()?.admin("/clusters")?.contains(&passed_by))
            })?;
            load.wait_for(50)?;
            mesh.remove(&old)?;
            load.wait_for(50)?;
            old = new;
        }
        all_well(load)?;
        mesh.wait_synced(&[&client])
    });
}

#[test]
fn rules_and_their_subsets_come_and_go_in_either_order() {
    world(|world| {
        let shop = Shop::start(world)?;
        let rules = virtual_service(&format!(
            "  - {}\n    route: [{{destination: {{host: reviews, subset: v2}}}}]",
            says("v2")
        ));
        let load = shop.client.load(REVIEWS, 4)?;
        let in_force = |wanted: bool| {
            wait_until(if wanted { "the rule" } else { "no rule" }, || {
                Ok((shop.client.get(REVIEWS).send()?.header("x-rules") == Some("v2")) == wanted)
            })
        };
        let (rule_first, subsets_first) = ([rules.as_str(), SUBSETS], [SUBSETS, rules.as_str()]);
        let gone_rule_first = ["VirtualService", "DestinationRule"];
        let gone_subsets_first = ["DestinationRule", "VirtualService"];
        let well = |step: String| load.so_far().only_successes().context(step);
        for (come, go) in [(rule_first, gone_rule_first), (subsets_first, gone_subsets_first)] {
            // More than a burst apart, so that the first is in force, or waits, on its own; then as one burst.
            for apart in [30, 0] {
                let order = |of: [&str; 2]| format!("{apart} requests apart, first\n{}", of[0]);
                shop.mesh.apply(come[0])?;
                load.wait_for(apart)?;
                shop.mesh.apply(come[1])?;
                in_force(true)?;
                well(format!("to come, {}", order(come)))?;
                shop.mesh.delete(go[0], "shop", "reviews")?;
                load.wait_for(apart)?;
                shop.mesh.delete(go[1], "shop", "reviews")?;
                in_force(false)?;
                well(format!("to go, {}", order(go)))?;
            }
        }
        all_well(load)?;
        shop.mesh.wait_synced(&[&shop.client])
    });
}

#[test]
fn the_control_plane_restarts() {
    world(|world| {
        let shop = Shop::start_with(world, true)?;
        shop.subsets()?;
        let rule = |version: &str| {
            format!(
                "  - {}\n    route: [{{destination: {{host: reviews, subset: {version}}}}}]",
                says(version)
            )
        };
        shop.rules("v1", &rule("v1"))?;
        shop.mesh.wait_synced(&[&shop.client, &shop.v1, &shop.v2])?;
        let load = shop.client.load(REVIEWS, 4)?;
        // Clusters and listeners that Envoy took in; a number that must not grow by a reconnect.
        let taken_in = || {
            let clusters = shop.client.envoy()?.stat("^cluster_manager.cluster_(added|modified|removed)$")?;
            let listeners =
                shop.client.envoy()?.stat("^listener_manager.listener_(added|modified|removed)$")?;
            anyhow::Ok(clusters + listeners)
        };
        let before = taken_in()?;

        shop.mesh.kill_control_plane();
        load.wait_for(50)?;
        shop.mesh.start_control_plane()?;
        shop.rules("v2", &rule("v2"))?;
        assert_eq!(taken_in()?, before, "what Envoy had was sent again");

        shop.mesh.terminate_control_plane()?;
        load.wait_for(50)?;
        // Written while nobody looks.
        shop.mesh.apply(&virtual_service(&rule("v1")))?;
        shop.mesh.start_control_plane()?;
        shop.rules("v1", &rule("v1"))?;
        assert_eq!(taken_in()?, before, "what Envoy had was sent again");
        for pod in [&shop.client, &shop.v1, &shop.v2] {
            pod.wait_settled()?;
        }
        all_well(load)
    });
}

#[test]
fn the_control_plane_dies_between_a_cluster_and_its_endpoints() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        let ways = [("delta", false), ("sotw", true)];
        let mut clients = Vec::new();
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        server(&mesh, "reviews-0")?;
        for (name, sotw) in ways {
            let relay = world.relay()?;
            let pod = mesh.pod("shop", name).discovery(relay.address());
            let client = if sotw { pod.state_of_the_world() } else { pod }.start()?;
            answered(&client, REVIEWS)?;
            clients.push((client, relay));
        }
        let pods: Vec<&Pod> = clients.iter().map(|(client, _)| client).collect();
        mesh.wait_synced(&pods)?;

        for (_, relay) in &clients {
            relay.hold_before("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment");
        }
        mesh.service("shop", "ratings").selector(&[("app", "reviews")]).port("http", 8080).create()?;
        for (client, relay) in &clients {
            relay.wait_held()?;
            wait_until("the new cluster to wait for its endpoints", || {
                Ok(client.envoy()?.stat("^cluster_manager.warming_clusters$")? > 0)
            })?;
        }
        mesh.kill_control_plane();
        for (_, relay) in &clients {
            relay.cut();
        }
        mesh.start_control_plane()?;
        for (client, _) in &clients {
            client.wait_settled()?;
            answered(client, "http://ratings:8080/")?;
            answered(client, REVIEWS)?;
        }
        Ok(())
    });
}
