//! Objects that are made, approved, signed or not, and taken away.

use std::sync::Arc;

use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use testkit::kubernetes::FakeServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::testing::cluster;
use crate::write::Writers;

const LIST: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// What waiting for an event may take on a slow machine.
const LONG: Duration = Duration::from_secs(60);

struct Office {
    server: Arc<FakeServer>,
    signers: Signers,
    writers: Writers,
    registry: Registry,
    running: JoinSet<()>,
}

async fn office(patience: Duration) -> Office {
    let server = Arc::new(FakeServer::start(&[LIST]).await);
    let cluster = cluster(&server);
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).expect("metrics");
    let writer = cluster.writers.of("signing");
    let signers = Signers::new(&cluster.connection, writer, metrics, patience);
    let (mut running, follower) = (JoinSet::new(), signers.clone());
    running.spawn(async move { follower.run().await });
    Office { server, signers, writers: cluster.writers, registry, running }
}

fn wanted(signer: &str) -> Wanted {
    Wanted {
        csr: "a request".to_owned(),
        signer: signer.to_owned(),
        whom: "web".to_owned(),
        lifetime: None,
        by_clients: true,
        source: None,
    }
}

/// Plays a signer: gives each approved object of `signer` the status that `answer` makes.
fn play(office: &mut Office, signer: &'static str, answer: fn() -> Value) {
    let server = Arc::clone(&office.server);
    office.running.spawn(async move {
        loop {
            for mut object in server.all(LIST) {
                let approved = object.pointer("/status/conditions/0/type") == Some(&json!("Approved"));
                let is_new = object.pointer("/status/signed").is_none();
                if approved && is_new && object.pointer("/spec/signerName") == Some(&json!(signer)) {
                    let mut status = answer();
                    status["signed"] = true.into();
                    object["status"] = status;
                    server.put(LIST, object);
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
}

/// Waits until something is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

impl Office {
    fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("text")
    }
}

fn certificate() -> Value {
    // "a chain" in base64.
    json!({"certificate": "YSBjaGFpbg=="})
}

#[tokio::test]
async fn what_is_approved_and_signed_is_returned_and_taken_away() {
    let mut office = office(LONG).await;
    play(&mut office, "example.com/mesh", certificate);
    assert_eq!(office.signers.sign(wanted("example.com/mesh")).await, Ok(b"a chain".to_vec()));
    assert!(office.server.all(LIST).is_empty());
    let writes = office.server.writes();
    let verbs: Vec<&str> = writes.iter().filter_map(|write| write.split(" /").next()).collect();
    assert_eq!(verbs, ["create", "update approval", "delete"], "{writes:?}");
    assert!(writes[1].contains("/csr-workload-"), "{writes:?}");
    let text = office.text();
    assert!(
        text.contains(r#"pilothouse_signer_requests_total{result="signed",signer="example.com/mesh"} 1"#)
    );
    assert!(text.contains(r#"pilothouse_signer_waiting{signer="example.com/mesh"} 0"#), "{text}");
}

#[tokio::test]
async fn the_object_says_what_is_wanted_and_no_more() {
    let office = office(LONG).await;
    for (lifetime, by_clients) in [(None, true), (Some(Duration::from_secs(3600)), false)] {
        let signers = office.signers.clone();
        let wanted = Wanted { lifetime, by_clients, ..wanted("example.com/mesh") };
        let mut asking = JoinSet::new();
        asking.spawn(async move { signers.sign(wanted).await });
        let approved = |object: &Value| object.pointer("/status/conditions").is_some();
        until("an approval", || office.server.all(LIST).iter().any(approved)).await;
        let object = office.server.all(LIST).remove(0);
        let mut usages = vec!["digital signature", "key encipherment", "server auth"];
        if by_clients {
            usages.push("client auth");
        }
        let mut spec = json!({"request": "YSByZXF1ZXN0", "signerName": "example.com/mesh", "usages": usages});
        if let Some(lifetime) = lifetime {
            spec["expirationSeconds"] = lifetime.as_secs().into();
        }
        assert_eq!(object["spec"], spec);
        assert_eq!(object["status"]["conditions"][0]["status"], "True");
        // Whoever asked goes away.
        drop(asking);
        until("the object to go", || office.server.all(LIST).is_empty()).await;
    }
}

#[tokio::test]
async fn who_does_not_answer_is_named_and_keeps_nobody_waiting() {
    let mut office = office(Duration::from_secs(3)).await;
    play(&mut office, "example.com/well", certificate);
    let silent = office.signers.clone();
    let mut asking = JoinSet::new();
    asking.spawn(async move { silent.sign(wanted("example.com/silent")).await });
    until("a request", || !office.server.all(LIST).is_empty()).await;
    assert!(office.signers.sign(wanted("example.com/well")).await.is_ok());
    let ended = asking.join_next().await.expect("a task").expect("no panic").expect_err("no answer");
    assert!(matches!(&ended, Unsigned::Silent { signer, .. } if signer == "example.com/silent"), "{ended}");
    assert!(ended.to_string().contains("the signer example.com/silent has not signed"), "{ended}");
    assert!(office.server.all(LIST).is_empty());
    let text = office.text();
    assert!(text.contains(r#"{result="silent",signer="example.com/silent"} 1"#), "{text}");
}

#[tokio::test]
async fn a_refusal_is_told_at_once_in_the_words_of_who_refused() {
    let mut office = office(LONG).await;
    play(
        &mut office,
        "example.com/no",
        || json!({"conditions": [{"type": "Failed", "status": "True", "reason": "NoKey", "message": "lost it"}]}),
    );
    let refused = office.signers.sign(wanted("example.com/no")).await.expect_err("a refusal");
    assert!(refused.to_string().contains("could not be signed: NoKey: lost it"), "{refused}");
    let server = Arc::clone(&office.server);
    office.running.spawn(async move {
        loop {
            for object in server.all(LIST) {
                server.delete(LIST, "", object["metadata"]["name"].as_str().expect("a name"));
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    let gone = office.signers.sign(wanted("example.com/gone")).await.expect_err("it is gone");
    assert!(matches!(gone, Unsigned::Refused { .. } | Unsigned::Write { .. }), "{gone}");
}

#[tokio::test]
async fn a_watch_that_ends_loses_nothing() {
    let office = office(LONG).await;
    let signers = office.signers.clone();
    let mut asking = JoinSet::new();
    asking.spawn(async move { signers.sign(wanted("example.com/mesh")).await });
    let approved = |object: &Value| object.pointer("/status/conditions").is_some();
    until("an approval", || office.server.all(LIST).iter().any(approved)).await;
    office.server.fall_silent();
    let mut object = office.server.all(LIST).remove(0);
    object["status"] = certificate();
    office.server.put(LIST, object);
    office.server.end_watches();
    let signed = timeout(LONG, asking.join_next()).await.expect("in time").expect("a task");
    assert_eq!(signed.expect("no panic"), Ok(b"a chain".to_vec()));
}

#[tokio::test]
async fn a_right_that_is_missing_is_told() {
    let office = office(LONG).await;
    office.server.forbid("create", LIST);
    let refused = office.signers.sign(wanted("example.com/mesh")).await.expect_err("no right");
    let text = refused.to_string();
    assert!(text.contains("cannot create it") && text.contains("allow create on"), "{text}");
}

#[tokio::test]
async fn without_the_right_to_watch_objects_are_looked_at() {
    let mut office = office(LONG).await;
    office.server.forbid("watch", LIST);
    office.server.end_watches();
    until("the watch to be refused", || {
        office.writers.lines().iter().any(|line| line.contains("watch certificatesigningrequests"))
    })
    .await;
    play(&mut office, "example.com/mesh", certificate);
    assert_eq!(office.signers.sign(wanted("example.com/mesh")).await, Ok(b"a chain".to_vec()));
}
