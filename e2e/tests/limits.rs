//! How much a cluster takes at once: connection pools, the times of connections, retries and their budget, and how new
//! endpoints warm up.
//!
//! Nothing here hangs on how fast a machine is: apps hold requests until they are let go, and what shares are judged by
//! is worked out from the times that were measured.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Echo, Load, Mesh, Pod, World, wait_until, world};

use crate::shop::{CLUSTERS, REVIEWS, answered, in_force, policy, seen};

/// A request that waits at the app until it is released.
const HELD: &str = "http://reviews:8080/?hold=1";
/// The statistics of the clients' cluster.
const OUTBOUND: &str = "cluster.outbound.8080..reviews.shop.*";

/// One server of `reviews` (HTTP) and `ledger` (TCP), and a client.
struct Stage<'w> {
    mesh: Mesh<'w>,
    client: Pod,
    server: Pod,
}

impl<'w> Stage<'w> {
    /// Starts it, with the sidecar of one of the two alone.
    fn start(world: &'w World, sidecar_of_server: bool) -> Result<Self> {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        mesh.service("shop", "ledger").selector(&[("app", "reviews")]).port("tcp", 9000).create()?;
        let server = mesh.pod("shop", "reviews").sidecar(sidecar_of_server);
        let server = server.app(Echo::http(8080)).app(Echo::tcp(9000)).start()?;
        let client = mesh.pod("shop", "web").sidecar(!sidecar_of_server).start()?;
        answered(&client, REVIEWS)?;
        Ok(Self { mesh, client, server })
    }

    /// Puts the policy of `reviews` in place, and waits until the threads of this pod's Envoy follow it: they close what
    /// the old cluster had open.
    fn policy(&self, at: &Pod, cluster: &str, text: &str, sign: &str) -> Result<()> {
        answered(&self.client, REVIEWS)?;
        self.mesh.apply(&policy("reviews", text))?;
        in_force(at, CLUSTERS, sign)?;
        wait_until("the connections of the old cluster to be closed", || {
            Ok(at.envoy()?.stat(&format!("{cluster}upstream_cx_active$"))? == 0)
        })
    }

    /// [`Stage::policy`] at the client.
    fn client_policy(&self, text: &str, sign: &str) -> Result<()> {
        self.policy(&self.client, OUTBOUND, text, sign)
    }

    /// A statistic of the client's cluster.
    fn stat(&self, name: &str) -> Result<u64> {
        self.client.envoy()?.stat(&format!("{OUTBOUND}{name}$"))
    }

    /// A request that the app holds.
    fn hold(&self) -> Result<Load> {
        let (load, before) = (self.client.load(HELD, 1)?, self.server.app().held());
        wait_until("a request to be held", || Ok(self.server.app().held() > before))?;
        Ok(load)
    }

    /// Lets requests go until each of these loads has had an answer, and all were 200.
    fn release(&self, loads: Vec<Load>) -> Result<()> {
        wait_until("answers to what was held", || {
            self.server.app().release();
            Ok(loads.iter().all(|load| load.so_far().total() > 0))
        })?;
        loads.into_iter().try_for_each(|load| load.stop().only_successes())
    }

    /// One more request is refused by the proxy of `at`, which counts it; the app does not see it.
    fn refused(&self, at: &Pod, cluster: &str, counter: &str) -> Result<()> {
        let overflow = || at.envoy()?.stat(&format!("{cluster}{counter}$"));
        let (before, counted) = (self.server.app().requests(), overflow()?);
        let answer = self.client.get(REVIEWS).send()?;
        ensure!(answer.status == 503 && answer.header("x-envoy-overloaded") == Some("true"), "{answer:?}");
        ensure!(self.server.app().requests() == before, "the app was asked");
        let counted = overflow()? - counted;
        ensure!(counted == 1, "{counter} tells of {counted} requests that were too many");
        Ok(())
    }

    /// With one connection and one place to wait, at the proxy of `at`.
    fn pool_of_one(&self, at: &Pod, cluster: &str) -> Result<()> {
        let pool = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}";
        self.policy(at, cluster, pool, "\"max_pending_requests\": 1,")?;
        let stat = |name: &str| at.envoy()?.stat(&format!("{cluster}{name}$"));
        let first = self.hold()?;
        let second = self.client.load(HELD, 1)?;
        wait_until("a request to wait", || Ok(stat("upstream_rq_pending_active")? == 1))?;
        self.refused(at, cluster, "upstream_rq_pending_overflow")?;
        ensure!(stat("upstream_cx_active")? == 1, "connections");
        self.release(vec![first, second])?;
        answered(&self.client, REVIEWS)?;
        at.wait_settled()
    }
}

#[test]
fn a_full_pool_refuses_what_is_one_too_many() {
    world(|world| {
        let stage = Stage::start(world, false)?;
        stage.pool_of_one(&stage.client, OUTBOUND)?;
        ensure!(stage.stat("upstream_cx_overflow")? > 0, "no second connection was wanted");

        // HTTP/2 has one connection for all; what is counted are requests.
        let pool = "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2MaxRequests: 1}}}";
        stage.client_policy(pool, "\"max_requests\": 1,")?;
        let held = stage.hold()?;
        stage.refused(&stage.client, OUTBOUND, "upstream_rq_active_overflow")?;
        stage.release(vec![held])?;
        ensure!(answered(&stage.client, REVIEWS)?.protocol == "HTTP/2.0", "no upgrade");
        stage.mesh.wait_synced(&[&stage.client])
    });
}

#[test]
fn a_servers_own_sidecar_keeps_the_pool_of_its_service() {
    world(|world| {
        let stage = Stage::start(world, true)?;
        stage.pool_of_one(&stage.server, "cluster.inbound.8080..;.*")
    });
}

#[test]
fn connections_of_tcp_are_counted_and_end_when_idle() {
    world(|world| {
        let stage = Stage::start(world, false)?;
        let client = &stage.client;
        let open = || -> Result<_> {
            let session = client.tcp("ledger:9000")?;
            session.send_line("hello")?;
            ensure!(session.read_line()?.ends_with(" hello"));
            Ok(session)
        };
        stage.mesh.apply(&policy("ledger", "{connectionPool: {tcp: {maxConnections: 1}}}"))?;
        wait_until("a second connection to be refused", || {
            let first = open()?;
            let second = client.tcp("ledger:9000")?;
            let refused = second.closed_within(Duration::from_secs(1)).is_ok();
            // What is open stays open.
            first.send_line("again")?;
            ensure!(first.read_line()?.ends_with(" again"));
            Ok(refused)
        })?;
        ensure!(client.envoy()?.stat("cluster.outbound.9000..ledger.*upstream_cx_overflow$")? > 0);
        wait_until("its place to be free again", || Ok(open().is_ok()))?;

        stage.mesh.apply(&policy("ledger", "{connectionPool: {tcp: {idleTimeout: 200ms}}}"))?;
        wait_until("an idle connection to end", || {
            Ok(open()?.closed_within(Duration::from_secs(2)).is_ok())
        })?;
        ensure!(client.envoy()?.stat("tcp.outbound.9000..ledger.*idle_timeout$")? > 0);
        stage.mesh.wait_synced(&[client])
    });
}

#[test]
fn connections_of_http_end_by_count_and_by_time() {
    world(|world| {
        let stage = Stage::start(world, false)?;
        let app = stage.server.app();
        stage.client_policy(
            "{connectionPool: {http: {maxRequestsPerConnection: 2}}}",
            "\"max_requests_per_connection\": 2",
        )?;
        for pair in 1..4 {
            let before = app.connections();
            for _ in 0..2 {
                seen(&stage.client, REVIEWS)?;
            }
            ensure!(app.connections() == before + 1, "two requests took more than one connection");
            ensure!(stage.stat("upstream_cx_max_requests")? == pair, "connections at their end");
        }
        for (settings, sign, counter) in [
            ("http: {idleTimeout: 150ms}", "\"idle_timeout\": \"0.150s\"", "upstream_cx_idle_timeout"),
            ("tcp: {idleTimeout: 160ms}", "\"idle_timeout\": \"0.160s\"", "upstream_cx_idle_timeout"),
            (
                "tcp: {maxConnectionDuration: 170ms}",
                "\"max_connection_duration\": \"0.170s\"",
                "upstream_cx_max_duration_reached",
            ),
        ] {
            stage.mesh.apply(&policy("reviews", &format!("{{connectionPool: {{{settings}}}}}")))?;
            in_force(&stage.client, CLUSTERS, sign)?;
            let before = stage.stat(counter)?;
            wait_until(&format!("{counter} by {settings}"), || {
                seen(&stage.client, REVIEWS)?;
                // Another request would keep it busy.
                wait_until("the connection to be closed", || Ok(stage.stat("upstream_cx_active")? == 0))?;
                Ok(stage.stat(counter)? > before)
            })?;
        }
        stage.mesh.wait_synced(&[&stage.client])
    });
}

#[test]
fn a_connection_that_is_not_taken_in_time_is_given_up() {
    world(|world| {
        let stage = Stage::start(world, false)?;
        // Nobody has this address: the network itself tells so only after three seconds.
        stage.mesh.apply(&format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: far, namespace: shop}}
spec:
  hosts: [far.example.com]
  resolution: STATIC
  ports: [{{number: 8080, name: http, protocol: HTTP}}]
  endpoints: [{{address: 10.77.200.1}}]
---
{}",
            policy("far.example.com", "{connectionPool: {tcp: {connectTimeout: 100ms}}}")
        ))?;
        in_force(&stage.client, CLUSTERS, "\"connect_timeout\": \"0.100s\"")?;
        let client = &stage.client;
        wait_until("a connection to be given up", || {
            client.get(REVIEWS).host("far.example.com").send()?;
            Ok(client.envoy()?.stat("cluster.outbound.8080..far.*upstream_cx_connect_timeout$")? > 0)
        })?;
        stage.mesh.wait_synced(&[client])
    });
}

#[test]
fn retries_have_a_limit_and_a_budget() {
    world(|world| {
        let stage = Stage::start(world, false)?;
        stage.mesh.apply(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - retries: {attempts: 2, retryOn: 5xx}
    route: [{destination: {host: reviews}}]
",
        )?;
        let app = stage.server.app();
        let tries = || -> Result<u64> {
            let before = app.requests();
            let answer = stage.client.get("http://reviews:8080/?status=503").send()?;
            ensure!(answer.status == 503, "{answer:?}");
            Ok(app.requests() - before)
        };
        wait_until("two retries", || Ok(tries()? == 3))?;
        // A request whose retry the app holds: one retry is under way as long as it wants.
        let retrying = || -> Result<Load> {
            let load = stage.client.load("http://reviews:8080/?status=503&hold=2", 1)?;
            wait_until("a retry to be held", || Ok(app.held() == 1))?;
            Ok(load)
        };
        let end = |load: Load| -> Result<()> {
            drop(load);
            app.release();
            wait_until("no retry to be under way", || Ok(stage.stat("upstream_rq_active")? == 0))
        };
        let load = retrying()?;
        ensure!(tries()? == 3, "without a limit");
        end(load)?;
        for (limit, sign) in [
            ("{connectionPool: {http: {maxRetries: 1}}}", "\"max_retries\": 1"),
            ("{retryBudget: {percent: 1, minRetryConcurrency: 1}}", "\"min_retry_concurrency\": 1"),
        ] {
            stage.client_policy(limit, sign)?;
            let before = stage.stat("upstream_rq_retry_overflow")?;
            ensure!(tries()? == 3, "one retry at a time is allowed by {limit}");
            let load = retrying()?;
            ensure!(tries()? == 1, "a second one is not by {limit}");
            ensure!(stage.stat("upstream_rq_retry_overflow")? == before + 1, "how often one was too many");
            end(load)?;
            ensure!(tries()? == 3, "the place is free again");
        }
        stage.mesh.wait_synced(&[&stage.client])
    });
}

/// The time in which a new endpoint's share grows.
const WARM_UP: Duration = Duration::from_secs(10);
/// The share of its weight that it begins with.
const LEAST: f64 = 0.1;

/// How many of the next requests the pod answers, and how many it may at the most: with an endpoint of full weight beside
/// it, one that is `age` old gets `f / (1 + f)` of them, where `f` is the greater of the least share and `age / WARM_UP`.
fn answers(client: &Pod, pod: &str, joined: Instant, requests: u32) -> Result<(u32, f64)> {
    let (mut given, mut expected) = (0, 0.0);
    for _ in 0..requests {
        given += u32::from(seen(client, REVIEWS)?.pod == pod);
        let grown = joined.elapsed().as_secs_f64() / WARM_UP.as_secs_f64();
        let weight = grown.clamp(LEAST, 1.0);
        expected += weight / (1.0 + weight);
    }
    Ok((given, expected))
}

#[test]
fn a_new_endpoint_warms_up() {
    world(|world| {
        let stage = Stage::start(world, false)?;
        let warm_up = "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s, minimumPercent: 10}}}";
        stage.client_policy(warm_up, "slow_start_window")?;
        // The age of the first endpoint is counted from here at the latest.
        let old = Instant::now();
        wait_until("the first endpoint to be warm", || Ok(old.elapsed() > WARM_UP))?;
        let joined = Instant::now();
        let second = stage.mesh.pod("shop", "reviews-new").sidecar(false).labels(&[("app", "reviews")]);
        second.app(Echo::http(8080)).start()?;
        wait_until("an answer of the new one", || Ok(seen(&stage.client, REVIEWS)?.pod == "reviews-new"))?;
        // Round robin keeps to the weights request by request: two of forty for where it begins.
        let (given, expected) = answers(&stage.client, "reviews-new", joined, 40)?;
        ensure!(f64::from(given) <= expected + 2.0, "{given} of 40, not {expected:.1}");
        ensure!(
            given < 18,
            "{given} of 40 is what it gets without a warm-up; the machine was too slow to tell"
        );
        wait_until("the new one to be warm", || Ok(joined.elapsed() > WARM_UP))?;
        wait_until("equal shares", || {
            let (given, _) = answers(&stage.client, "reviews-new", joined, 20)?;
            Ok((9..=11).contains(&given))
        })?;
        stage.mesh.wait_synced(&[&stage.client])
    });
}
