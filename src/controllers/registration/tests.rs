//! Registration against an API server in memory.

use std::collections::BTreeSet;

use api::decode::decode;
use api::mesh_config::ProxyConfig;
use model::endpoint::Locality;
use model::{Proxy, Ref};
use serde_json::{Value, json};
use sources::event::Event;
use sources::feed::{Feed, Listener};
use testkit::kubernetes::FakeServer;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::testing::{Cluster, cluster};

const ENTRIES: &str = "/apis/networking.istio.io/v1/workloadentries";
const GROUPS: &str = "/apis/networking.istio.io/v1/workloadgroups";

const RULES: Rules = Rules { auto: true, health: true, verify: true };

const VM: &str = "spiffe://cluster.local/ns/shop/sa/vm";

fn group() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup",
        "metadata": {"name": "vms", "namespace": "shop", "uid": "u-1"},
        "spec": {
            "metadata": {"labels": {"app": "legacy", "tier": "group"}, "annotations": {"team": "a"}},
            "template": {
                "serviceAccount": "vm", "ports": {"http": 8080}, "network": "template", "weight": 3,
                "labels": {"app": "template", "os": "linux"},
            },
            "probe": {"httpGet": {"port": 8080}},
        },
    })
}

/// A proxy of the group; with a probe if it will tell of its health.
fn workload(metadata: &Value, identities: &[&str]) -> Workload {
    let mut all = json!({"NAMESPACE": "shop", "AUTO_REGISTER_GROUP": "vms", "LABELS": {"tier": "node"}});
    json_patch::merge(&mut all, metadata);
    let locality = Locality { region: "r1".into(), zone: "z1".into(), subzone: String::new() };
    let mut proxy =
        Proxy::parse("sidecar~10.0.0.7~vm-1.shop~shop.svc.cluster.local", &all, locality).expect("a proxy");
    if all.get("PROBED").is_some() {
        let probe = Some(Default::default());
        let config = ProxyConfig { readiness_probe: probe, ..ProxyConfig::default() };
        proxy.metadata.proxy_config = Some(Ref::new(config));
    }
    let identities: Vec<String> = identities.iter().map(|i| (*i).to_owned()).collect();
    Workload::of(&proxy, &identities, RULES).expect("one that is registered")
}

fn vm() -> Workload {
    workload(&json!({}), &[VM])
}

/// One replica.
struct Replica {
    registrar: Registrar,
    known: Feed<Known>,
    _keeping: AbortOnDropHandle<()>,
}

impl Replica {
    fn start(server: &FakeServer, name: &str, grace: Duration) -> Self {
        let Cluster { connection, writers, registry } = cluster(server);
        let entries = Entries {
            connection,
            writer: writers.of("workload entries"),
            controller: name.into(),
            metrics: Metrics::register(&registry).expect("metrics"),
        };
        let registrar = Registrar::new(entries, Terms { rules: RULES, grace, max_age: None });
        let known = feed();
        let (keeper, read) = (registrar.clone(), known.clone());
        let keeping = tokio::spawn(async move { keeper.keep(&read, &CancellationToken::new()).await });
        known.complete();
        Self { registrar, known, _keeping: AbortOnDropHandle::new(keeping) }
    }

    fn hear(&self, document: &Value) {
        let object = decode(document.clone()).expect("an object").object;
        self.known.take(&[Event { key: object.key(), object: Some(Arc::new(object)) }]);
    }

    fn count(&self) -> [u64; 5] {
        let metrics = &self.registrar.0.entries.metrics;
        let all =
            [&metrics.success, &metrics.updates, &metrics.unregister, &metrics.deletes, &metrics.errors];
        all.map(prometheus::IntCounter::get)
    }
}

async fn server() -> FakeServer {
    let server = FakeServer::start(&[ENTRIES, GROUPS]).await;
    server.put(GROUPS, group());
    server
}

const NAME: &str = "vms-10.0.0.7";

fn entry(server: &FakeServer) -> Option<Value> {
    server.get(ENTRIES, "shop", NAME)
}

fn annotation(server: &FakeServer, name: &str) -> Option<String> {
    Some(entry(server)?["metadata"]["annotations"].get(name)?.as_str()?.to_owned())
}

async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.expect("it happens");
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_entry_is_made_of_the_group_and_of_what_the_proxy_tells() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", LONG);
    let probed = workload(&json!({"PROBED": true}), &[VM]);
    let presence = replica.registrar.register(probed).await.expect("registered");
    let mut made = entry(&server).expect("an entry");
    let since = annotation(&server, "istio.io/connectedAt").expect("a time");
    assert!(since.parse::<Timestamp>().is_ok(), "{since}");
    let metadata = made["metadata"].as_object_mut().expect("metadata");
    metadata.remove("resourceVersion");
    assert_eq!(
        made["metadata"],
        json!({
            "name": NAME, "namespace": "shop",
            "labels": {"app": "legacy", "os": "linux", "tier": "node"},
            "annotations": {
                "istio.io/autoRegistrationGroup": "vms", "istio.io/workloadController": "istiod-a",
                "istio.io/connectedAt": since, "proxy.istio.io/health-checks-enabled": "true", "team": "a",
            },
            "ownerReferences": [{
                "apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup",
                "name": "vms", "uid": "u-1", "controller": true,
            }],
        })
    );
    assert_eq!(
        made["spec"],
        json!({
            "address": "10.0.0.7", "serviceAccount": "vm", "ports": {"http": 8080}, "weight": 3,
            "network": "template", "locality": "r1/z1",
            "labels": {"app": "legacy", "os": "linux", "tier": "node"},
        })
    );
    assert_eq!(replica.count(), [1, 0, 0, 0, 0]);
    drop(presence);
}

#[tokio::test]
async fn only_the_workload_itself_may_have_its_entry() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", Duration::ZERO);
    let refused = async |workload| replica.registrar.register(workload).await.expect_err("refused");
    let unknown = Refused::No("registration of WorkloadEntry requires a verified identity".to_owned());
    assert_eq!(refused(workload(&json!({}), &[])).await, unknown);
    assert_eq!(refused(workload(&json!({}), &["web.example"])).await, unknown);
    let words = "registration of WorkloadEntry namespace mismatch: \"other\" vs \"shop\"";
    let other = workload(&json!({}), &["spiffe://cluster.local/ns/other/sa/vm"]);
    assert_eq!(refused(other).await, Refused::No(words.to_owned()));
    let words = "registration of WorkloadEntry service account mismatch: \"thief\" vs \"vm\"";
    let thief = workload(&json!({}), &["spiffe://cluster.local/ns/shop/sa/thief"]);
    assert_eq!(refused(thief.clone()).await, Refused::No(words.to_owned()));
    let words = "auto-registration WorkloadEntry of vm-1.shop failed: cannot find WorkloadGroup shop/none";
    let lost = workload(&json!({"AUTO_REGISTER_GROUP": "none"}), &[VM]);
    assert_eq!(refused(lost).await, Refused::NoGroup(words.to_owned()));
    assert_eq!(server.writes(), [""; 0]);
    // Who was refused ends nothing of whom the entry is.
    let presence = replica.registrar.register(vm()).await.expect("registered");
    let before = entry(&server);
    assert_eq!(
        refused(thief).await,
        Refused::No("registration of WorkloadEntry service account mismatch: \"thief\" vs \"vm\"".to_owned())
    );
    assert_eq!((entry(&server), server.writes().len()), (before, 1));
    drop(presence);
}

#[tokio::test]
async fn an_entry_goes_when_its_workload_does_not_come_back() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", Duration::from_millis(50));
    let first = replica.registrar.register(vm()).await.expect("registered");
    let second = replica.registrar.register(vm()).await.expect("registered");
    drop(first);
    assert!(annotation(&server, "istio.io/disconnectedAt").is_none(), "another stream is there");
    drop(second);
    until(|| entry(&server).is_none()).await;
    // The replica counts when it has the server's answer.
    until(|| replica.count() == [1, 1, 1, 1, 0]).await;
}

#[tokio::test]
async fn a_workload_that_comes_back_keeps_its_entry_and_another_replica_takes_it_over() {
    let server = server().await;
    let (a, b) = (Replica::start(&server, "istiod-a", LONG), Replica::start(&server, "istiod-b", LONG));
    let at_a = a.registrar.register(vm()).await.expect("registered");
    let at_b = b.registrar.register(vm()).await.expect("registered");
    assert_eq!(annotation(&server, "istio.io/workloadController").as_deref(), Some("istiod-b"));
    // The first replica hears later that the workload is gone there, and of its health what is long past.
    at_a.health(Ok(()));
    drop(at_a);
    at_b.health(Err("out of order".to_owned()));
    until(|| entry(&server).is_some_and(|e| e["status"]["conditions"][0]["status"] == "False")).await;
    assert!(annotation(&server, "istio.io/disconnectedAt").is_none());
    drop(at_b);
    until(|| annotation(&server, "istio.io/disconnectedAt").is_some()).await;
    assert!(annotation(&server, "istio.io/connectedAt").is_none());
    let back = a.registrar.register(vm()).await.expect("registered");
    assert!(annotation(&server, "istio.io/disconnectedAt").is_none());
    assert_eq!(annotation(&server, "istio.io/workloadController").as_deref(), Some("istiod-a"));
    drop(back);
}

#[tokio::test]
async fn health_is_one_condition_among_others() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", LONG);
    let presence = replica.registrar.register(vm()).await.expect("registered");
    let mut with_status = entry(&server).expect("an entry");
    let accepted = json!({"type": "Accepted", "status": "True"});
    with_status["status"] = json!({"conditions": [accepted]});
    server.put(ENTRIES, with_status);
    let healthy = |status: &'static str| {
        let server = &server;
        move || {
            let all = entry(server).map(|e| e["status"]["conditions"].clone()).unwrap_or_default();
            assert_eq!(all[0], json!({"type": "Accepted", "status": "True"}));
            all[1]["type"] == "Healthy" && all[1]["status"] == status
        }
    };
    presence.health(Err("connection refused".to_owned()));
    until(healthy("False")).await;
    let condition = entry(&server).expect("an entry")["status"]["conditions"][1].clone();
    assert_eq!(condition["message"], "connection refused");
    assert_eq!(condition["lastProbeTime"], condition["lastTransitionTime"]);
    presence.health(Ok(()));
    until(healthy("True")).await;
    assert_eq!(entry(&server).expect("an entry")["status"]["conditions"][1].get("message"), None);
    drop(presence);
}

#[tokio::test]
async fn health_is_written_again_where_somebody_wrote_over_it() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", LONG);
    let presence = replica.registrar.register(vm()).await.expect("registered");
    presence.health(Ok(()));
    let told = || entry(&server).is_some_and(|e| e["status"]["conditions"][0]["status"] == "True");
    until(told).await;
    let mut without = entry(&server).expect("an entry");
    without["status"]["conditions"] = json!([]);
    server.put(ENTRIES, without.clone());
    replica.hear(&without);
    until(told).await;
    drop(presence);
}

#[tokio::test]
async fn what_is_heard_while_health_is_written_is_looked_at_after_it() {
    let (book, workload) = (Book::default(), Arc::new(vm()));
    let (key, at) = (workload.key(), Timestamp::now());
    book.come(&workload, at);
    book.tell(&key, Ok(()), at);
    book.changed().await;
    let told = book.told(&key).expect("something to write");
    book.heard(&key, None);
    book.wrote_health(&key, &told);
    assert_eq!(book.changed().await, BTreeSet::from([key.clone()]));
    assert_eq!(book.told(&key), Some(told.clone()), "it may have been written over");
    book.heard(&key, Some(true));
    book.wrote_health(&key, &told);
    assert_eq!(book.told(&key), None);
}

#[tokio::test]
async fn an_entry_that_somebody_wrote_is_checked_and_kept() {
    let server = server().await;
    let written = |annotations: Value| {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": NAME, "namespace": "shop", "annotations": annotations},
            "spec": {"address": "10.0.0.7", "serviceAccount": "vm"},
        })
    };
    let replica = Replica::start(&server, "istiod-a", Duration::from_millis(50));
    let named = workload(&json!({"AUTO_REGISTER_GROUP": "", "WORKLOAD_ENTRY": NAME}), &[VM]);
    let refused = replica.registrar.register(named.clone()).await.expect_err("there is none");
    assert!(
        refused.to_string().ends_with("however WorkloadEntry shop/vms-10.0.0.7 is not found"),
        "{refused}"
    );
    server.put(ENTRIES, written(json!({})));
    let unchecked = replica.registrar.register(named.clone()).await.expect("nothing to do");
    unchecked.health(Ok(()));
    drop(unchecked);
    server.put(ENTRIES, written(json!({"proxy.istio.io/health-checks-enabled": "true"})));
    let presence = replica.registrar.register(named).await.expect("registered");
    presence.health(Ok(()));
    let told = || entry(&server).is_some_and(|e| e["status"]["conditions"][0]["status"] == "True");
    until(told).await;
    drop(presence);
    // Nobody knows any more whether it is healthy; the entry is its owner's.
    until(|| entry(&server).is_some_and(|e| e["status"]["conditions"] == json!([]))).await;
    assert_eq!(replica.count()[3], 0);
}

#[tokio::test]
async fn who_is_connected_when_the_group_comes_back_is_registered_again() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", LONG);
    let presence = replica.registrar.register(vm()).await.expect("registered");
    server.delete(GROUPS, "shop", "vms");
    server.delete(ENTRIES, "shop", NAME);
    server.put(GROUPS, group());
    replica.hear(&group());
    until(|| entry(&server).is_some()).await;
    until(|| replica.count()[0] == 2).await;
    drop(presence);
}

#[tokio::test]
async fn what_a_replica_left_that_ended_is_swept_up_by_another() {
    let server = server().await;
    let gone = replica_and_entry(&server).await;
    let replica = Replica::start(&server, "istiod-b", Duration::from_millis(10));
    replica.hear(&gone);
    until(|| entry(&server).is_none()).await;
    until(|| replica.count() == [0, 0, 0, 1, 0]).await;
}

/// The entry of a workload that was connected to a replica that is no more.
async fn replica_and_entry(server: &FakeServer) -> Value {
    let replica = Replica::start(server, "istiod-a", LONG);
    drop(replica.registrar.register(vm()).await.expect("registered"));
    until(|| annotation(server, "istio.io/disconnectedAt").is_some()).await;
    entry(server).expect("an entry")
}

#[tokio::test]
async fn what_the_server_does_not_take_is_told_to_who_asks() {
    let server = server().await;
    let replica = Replica::start(&server, "istiod-a", LONG);
    server.forbid("create", ENTRIES);
    let refused = replica.registrar.register(vm()).await.expect_err("forbidden");
    assert!(
        matches!(&refused, Refused::Later(words) if words.ends_with("allow create on workloadentries")),
        "{refused}"
    );
}
