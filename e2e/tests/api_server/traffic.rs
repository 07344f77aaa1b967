//! Stock Envoys as the pods of a real API server: what users apply changes the traffic, and nothing else does.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Cluster, Echo, Mesh, MeshOptions, Pod, cluster, wait_until, within};

/// How long the API server is away: as long as an upgrade of its node may take.
const AWAY: Duration = Duration::from_secs(60);

const REVIEWS: &str = "http://reviews.shop:8080/";

const SUBSETS: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
";

fn rule(subset: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: shop}}
spec: {{hosts: [reviews], http: [{{route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]}}
"
    )
}

/// A client and two versions of a server, all with sidecars.
struct Shop<'w> {
    mesh: Mesh<'w>,
    client: Pod,
    v1: Pod,
}

impl<'w> Shop<'w> {
    fn start(cluster: &'w Cluster<'w>) -> Result<Self> {
        let mesh = Mesh::on(cluster, MeshOptions::default())?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        let v1 = server(&mesh, "v1")?;
        server(&mesh, "v2")?;
        let client = mesh.pod("shop", "web").start()?;
        mesh.apply(SUBSETS)?;
        let shop = Self { mesh, client, v1 };
        shop.mesh.apply(&rule("v1"))?;
        shop.only("v1")?;
        Ok(shop)
    }

    /// Waits until this version and no other answers.
    fn only(&self, version: &str) -> Result<()> {
        wait_until(&format!("only {version} to answer"), || {
            for _ in 0..8 {
                let answer = self.client.get(REVIEWS).send()?;
                if answer.status != 200 || answer.seen()?.pod != version {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

fn server(mesh: &Mesh<'_>, version: &str) -> Result<Pod> {
    mesh.pod("shop", version)
        .labels(&[("app", "reviews"), ("version", version)])
        .app(Echo::http(8080))
        .start()
}

#[test]
fn a_rule_that_is_applied_changes_the_traffic() {
    cluster(|cluster| {
        let shop = Shop::start(cluster)?;
        let load = shop.client.load(REVIEWS, 4)?;
        for version in ["v2", "v1", "v2"] {
            shop.mesh.apply(&rule(version))?;
            shop.only(version)?;
        }
        load.wait_for(50)?;
        load.stop().only_successes()
    });
}

#[test]
fn pods_that_come_and_go_cost_no_request() {
    cluster(|cluster| {
        let shop = Shop::start(cluster)?;
        let load = shop.client.load(REVIEWS, 4)?;
        load.wait_for(20)?;
        let labels = [("app", "reviews"), ("version", "v1")];
        shop.mesh.pod("shop", "v1-next").labels(&labels).app(Echo::http(8080)).start()?;
        wait_until("answers of the new pod", || Ok(load.so_far().by_pod.contains_key("v1-next")))?;
        shop.mesh.set_ready(&shop.v1, false)?;
        let passed_by = format!("{}:8080::health_flags::/failed_eds_health", shop.v1.ip());
        wait_until("the client's sidecar to pass the old pod by", || {
            Ok(shop.client.envoy()?.admin("/clusters")?.contains(&passed_by))
        })?;
        shop.mesh.remove(&shop.v1)?;
        load.wait_for(50)?;
        load.stop().only_successes()
    });
}

#[test]
fn traffic_goes_on_while_the_api_server_is_away() {
    cluster(|cluster| {
        let shop = Shop::start(cluster)?;
        let load = shop.client.load(REVIEWS, 4)?;
        let stopped = Instant::now();
        cluster.stop_api_server();
        wait_until("the loss to be told", || Ok(shop.mesh.text("/ready")?.contains("cannot be reached")))?;
        within(2 * AWAY, "the time to pass", || Ok((stopped.elapsed() >= AWAY).then_some(())))?;
        load.wait_for(500)?;
        cluster.start_api_server()?;
        wait_until("the server to be found", || Ok(shop.mesh.text("/ready")?.is_empty()))?;
        shop.mesh.apply(&rule("v2"))?;
        shop.only("v2")?;
        load.stop().only_successes()
    });
}

#[test]
fn a_service_that_gets_another_name_is_found_under_it() {
    cluster(|cluster| {
        let shop = Shop::start(cluster)?;
        shop.mesh.service("shop", "ratings").selector(&[("app", "reviews")]).port("http", 8080).create()?;
        wait_until(
            "the new name",
            || Ok(shop.client.get("http://ratings.shop:8080/").send()?.status == 200),
        )?;
        shop.mesh.delete("VirtualService", "shop", "reviews")?;
        shop.mesh.delete("DestinationRule", "shop", "reviews")?;
        shop.mesh.delete("Service", "shop", "reviews")?;
        wait_until("the old name to be gone", || {
            Ok(!shop.client.envoy()?.admin("/clusters")?.contains("reviews.shop.svc"))
        })?;
        ensure!(shop.client.get("http://ratings.shop:8080/").send()?.status == 200, "the new name stays");
        Ok(())
    });
}
