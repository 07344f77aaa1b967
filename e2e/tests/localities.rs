//! Where servers stand decides which of them answer: failover, its order, shares of localities.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e::{Echo, Mesh, Pod, World, wait_until, world};

use crate::shop::{REVIEWS, answered, policy, seen, share};

/// A mesh with `reviews` in several places.
struct Places<'w> {
    mesh: Mesh<'w>,
    servers: BTreeMap<&'static str, Pod>,
    client: Pod,
}

impl<'w> Places<'w> {
    /// Starts a server on a node of its own in each of these localities, by the names of the nodes; the client is on
    /// the node `here`. What a place is called is the label `version` too; the client has that of `asks_for`.
    fn start(world: &'w World, places: &[(&'static str, &str)], asks_for: &str) -> Result<Self> {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        let mut servers = BTreeMap::new();
        for (place, locality) in places {
            mesh.node(place, locality)?;
            let pod = mesh.pod("shop", &format!("reviews-{place}")).sidecar(false).on_node(place);
            let labels = [("app", "reviews"), ("version", *place)];
            servers.insert(*place, pod.labels(&labels).app(Echo::http(8080)).start()?);
        }
        let labels = [("app", "web"), ("version", asks_for)];
        let client = mesh.pod("shop", "web").labels(&labels).on_node("here").start()?;
        Ok(Self { mesh, servers, client })
    }

    /// Waits until all requests go to one place after the other, each gone when it has answered.
    fn in_order(&self, places: &[&str]) -> Result<()> {
        for place in places {
            let pod = format!("reviews-{place}");
            answered(&self.client, REVIEWS)?;
            wait_until(&format!("answers of {pod}"), || Ok(seen(&self.client, REVIEWS)?.pod == pod))?;
            for _ in 0..10 {
                ensure!(seen(&self.client, REVIEWS)?.pod == pod, "not only {pod}");
            }
            if let Some(server) = self.servers.get(place).filter(|_| places.last() != Some(place)) {
                self.mesh.set_ready(server, false)?;
            }
        }
        self.mesh.wait_synced(&[&self.client])
    }
}

/// The policy of `reviews` with this `localityLbSetting`, and outlier detection, without which nothing fails over.
fn setting(text: &str) -> String {
    policy(
        "reviews",
        &format!(
            "{{outlierDetection: {{consecutive5xxErrors: 5}}, loadBalancer: {{localityLbSetting: {text}}}}}"
        ),
    )
}

#[test]
fn near_endpoints_come_first_and_far_ones_when_they_are_gone() {
    world(|world| {
        let places = Places::start(world, &[("here", "r1/z1"), ("near", "r1/z2"), ("far", "r2/z1")], "here")?;
        places.mesh.apply(&setting("{enabled: true}"))?;
        places.in_order(&["here", "near", "far"])
    });
}

#[test]
fn a_region_fails_over_to_the_one_that_is_named() {
    world(|world| {
        let places =
            Places::start(world, &[("here", "r1/z1"), ("second", "r2/z1"), ("third", "r3/z1")], "here")?;
        places.mesh.apply(&setting("{enabled: true, failover: [{from: r1, to: r3}]}"))?;
        places.in_order(&["here", "third", "second"])
    });
}

#[test]
fn labels_come_before_nearness_where_they_are_the_priority() {
    world(|world| {
        let places = Places::start(world, &[("here", "r1/z1"), ("wanted", "r2/z1")], "wanted")?;
        places.mesh.apply(&setting("{enabled: true, failoverPriority: [version]}"))?;
        places.in_order(&["wanted", "here"])
    });
}

#[test]
fn localities_get_the_shares_that_are_given_out() {
    world(|world| {
        let places = Places::start(world, &[("here", "r1/z1"), ("near", "r1/z2"), ("far", "r2/z1")], "here")?;
        places.mesh.apply(&setting(
            "{enabled: true, distribute: [{from: r1/z1/*, to: {r1/z1/*: 70, r2/z1/*: 30}}]}",
        ))?;
        // The third has no share: the rule is in force when it is no endpoint.
        let near = places.servers["near"].ip().to_string();
        let page = || places.client.envoy()?.admin("/clusters");
        wait_until("the locality without a share to be left out", || Ok(!page()?.contains(&near)))?;
        let load = places.client.load(REVIEWS, 8)?;
        load.wait_for(600)?;
        let report = load.stop();
        share(&report, "reviews-here", 0.7)?;
        share(&report, "reviews-far", 0.3)?;
        places.mesh.wait_synced(&[&places.client])
    });
}
