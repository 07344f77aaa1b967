//! Replicas that stand for election, against an API server in memory.

use std::time::Instant;

use serde_json::{Value, json};
use testkit::kubernetes::FakeServer;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::testing::{SYSTEM, cluster};

const CONFIG_MAPS: &str = "/api/v1/configmaps";
const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

async fn server() -> FakeServer {
    FakeServer::start(&[CONFIG_MAPS, LEASES, WEBHOOKS]).await
}

fn candidate(name: &str) -> Candidate {
    Candidate {
        namespace: SYSTEM.into(),
        identity: name.into(),
        revision: "default".into(),
        remote: false,
        enabled: true,
        timing: Timing::default(),
    }
}

/// A replica that says when it begins to lead and when it was told that it no longer does.
struct Replica {
    said: UnboundedReceiver<&'static str>,
    stop: CancellationToken,
    leaders: Leaders,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(server: &FakeServer, candidate: Candidate, lock: Lock) -> Self {
        let cluster = cluster(server);
        let election = Election::new(&cluster.connection, candidate, &cluster.writers, &cluster.registry);
        let election = election.expect("metrics");
        let (say, said) = unbounded_channel();
        let (stop, leaders) = (CancellationToken::new(), election.leaders().clone());
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let work = |leading: CancellationToken| {
                let say = say.clone();
                async move {
                    say.send("leads").expect("a listener");
                    leading.cancelled().await;
                    say.send("stops").expect("a listener");
                }
            };
            election.run(&lock, &until, work).await;
        });
        Self { said, stop, leaders, task }
    }

    async fn says(&mut self) -> &'static str {
        timeout(Duration::from_secs(20), self.said.recv()).await.expect("in time").expect("a replica")
    }

    /// Waits until it knows who leads.
    async fn sees(&self, line: &str) {
        let seen = async {
            while self.leaders.lines() != [line] {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(Duration::from_secs(20), seen).await.is_ok(), "{:?}", self.leaders.lines());
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic");
    }
}

fn record(server: &FakeServer, name: &str) -> Value {
    let object = server.get(CONFIG_MAPS, SYSTEM, name).expect("a lock");
    let text = &object["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"];
    serde_json::from_str(text.as_str().expect("a record")).expect("JSON")
}

/// A lock that somebody holds who does not renew it.
fn hold(server: &FakeServer, name: &str, identity: &str, key: &str) {
    let record = json!({"holderIdentity": identity, "holderKey": key, "leaseDurationSeconds": 30,
        "acquireTime": "2026-01-01T00:00:00Z", "renewTime": "2026-01-01T00:00:00Z", "leaderTransitions": 1});
    let annotations = json!({"control-plane.alpha.kubernetes.io/leader": record.to_string()});
    let metadata = json!({"name": name, "namespace": SYSTEM, "annotations": annotations});
    server.put(CONFIG_MAPS, json!({"metadata": metadata, "data": {"k": "v"}}));
}

fn default_revision(server: &FakeServer, revision: &str) {
    let metadata = json!({"name": "istio-revision-tag-default", "labels": {"istio.io/rev": revision}});
    server.put(WEBHOOKS, json!({"metadata": metadata}));
}

#[tokio::test]
async fn one_leads_and_the_next_takes_over_at_once_when_it_stops() {
    let server = server().await;
    let lock = Lock::config_map("istio-leader");
    let mut first = Replica::start(&server, candidate("a"), lock.clone());
    assert_eq!(first.says().await, "leads");
    let mut second = Replica::start(&server, candidate("b"), lock);
    second.sees("istio-leader: a").await;
    first.sees("istio-leader: a (this replica)").await;
    assert_eq!(record(&server, "istio-leader")["holderKey"], "default");
    let at = Instant::now();
    first.stop.cancel();
    assert_eq!((first.says().await, second.says().await), ("stops", "leads"));
    assert!(at.elapsed() < Timing::default().lease / 2, "the lock was given back");
    assert_eq!(record(&server, "istio-leader")["holderIdentity"], "b");
    assert_eq!(record(&server, "istio-leader")["leaderTransitions"], 1);
    first.task.await.expect("no panic");
    second.stop().await;
    assert_eq!(record(&server, "istio-leader")["holderIdentity"], "");
}

#[tokio::test]
async fn a_lease_is_given_from_one_to_the_next_without_being_watched() {
    let server = server().await;
    for verb in ["list", "watch"] {
        server.forbid(verb, LEASES);
    }
    let lock = Lock::lease_per_revision("istio-gateway-deployment");
    let mut first = Replica::start(&server, candidate("a"), lock.clone());
    assert_eq!(first.says().await, "leads");
    let mut second = Replica::start(&server, candidate("b"), lock);
    second.sees("istio-gateway-deployment-default: a").await;
    first.stop().await;
    assert_eq!(second.says().await, "leads");
    let lease = server.get(LEASES, SYSTEM, "istio-gateway-deployment-default").expect("a lease");
    assert_eq!(lease["spec"]["holderIdentity"], "b");
    assert_eq!(lease["metadata"].get("annotations").and_then(|a| a.get("leader.istio.io/holder-key")), None);
}

#[tokio::test]
async fn the_lock_of_one_that_is_dead_is_taken_when_it_is_over() {
    let server = server().await;
    hold(&server, "istio-leader", "dead", "default");
    let timing = Timing {
        lease: Duration::from_secs(2),
        renew: Duration::from_secs(1),
        retry: Duration::from_millis(500),
    };
    let at = Instant::now();
    let mut replica =
        Replica::start(&server, Candidate { timing, ..candidate("a") }, Lock::config_map("istio-leader"));
    assert_eq!(replica.says().await, "leads");
    assert!(at.elapsed() >= timing.lease, "{:?}", at.elapsed());
    let object = server.get(CONFIG_MAPS, SYSTEM, "istio-leader").expect("a lock");
    assert_eq!(object["data"], json!({"k": "v"}), "the rest stays");
    // It is renewed.
    let first = object["metadata"]["resourceVersion"].clone();
    let renewed = async {
        while server.get(CONFIG_MAPS, SYSTEM, "istio-leader").expect("a lock")["metadata"]["resourceVersion"]
            == first
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), renewed).await.expect("renewed");
    assert_eq!(record(&server, "istio-leader")["leaderTransitions"], 2);
}

#[tokio::test]
async fn a_replica_that_becomes_the_default_takes_the_lock_and_the_other_stops() {
    let server = server().await;
    default_revision(&server, "default");
    let lock = Lock::config_map("istio-ip-autoallocate");
    let mut old = Replica::start(&server, candidate("a"), lock.clone());
    assert_eq!(old.says().await, "leads");
    let canary = Candidate { revision: "canary".into(), ..candidate("b") };
    let mut canary = Replica::start(&server, canary, lock);
    canary.sees("istio-ip-autoallocate: a").await;
    default_revision(&server, "canary");
    assert_eq!((canary.says().await, old.says().await), ("leads", "stops"));
    old.sees("istio-ip-autoallocate: b").await;
    assert_eq!(record(&server, "istio-ip-autoallocate")["holderKey"], "canary");
}

#[tokio::test]
async fn one_that_cannot_renew_stops_before_its_time_is_over() {
    let server = server().await;
    let timing = Timing {
        lease: Duration::from_secs(4),
        renew: Duration::from_secs(1),
        retry: Duration::from_millis(500),
    };
    let mut replica =
        Replica::start(&server, Candidate { timing, ..candidate("a") }, Lock::config_map("istio-leader"));
    assert_eq!(replica.says().await, "leads");
    server.forbid("update", CONFIG_MAPS);
    let at = Instant::now();
    assert_eq!(replica.says().await, "stops");
    assert!(at.elapsed() < timing.lease, "{:?}", at.elapsed());
    server.allow("update", CONFIG_MAPS);
    assert_eq!(replica.says().await, "leads");
}

#[tokio::test]
async fn without_elections_everybody_leads() {
    let server = server().await;
    hold(&server, "istio-leader", "other", "default");
    let free = Candidate { enabled: false, ..candidate("a") };
    let mut replica = Replica::start(&server, free, Lock::config_map("istio-leader"));
    assert_eq!(replica.says().await, "leads");
    replica.stop.cancel();
    assert_eq!(replica.says().await, "stops");
    assert_eq!(server.writes(), [""; 0]);
}
