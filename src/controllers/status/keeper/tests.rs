//! What is written to an API server in memory, and how often.

use std::collections::BTreeMap;

use api::{Kind, Problem, Severity};
use serde_json::Value;
use testkit::kubernetes::FakeServer;

use super::*;
use crate::testing::{Cluster, cluster};

const RULES: &str = "/apis/networking.istio.io/v1/virtualservices";
const EVENTS: &str = "/apis/events.k8s.io/v1/events";

fn key(name: &str) -> ObjectKey {
    ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: name.into() }
}

fn keeper(cluster: &Cluster) -> Keeper {
    Keeper {
        connection: cluster.connection.clone(),
        status: cluster.writers.of("status"),
        events: cluster.writers.of("events"),
        level: Level::Problems,
        instance: "istiod-0".into(),
    }
}

/// A server with a rule of this name, and what became of the rule.
async fn server(name: &str) -> (FakeServer, Outcome) {
    let server = FakeServer::start(&[RULES, EVENTS]).await;
    server.put(RULES, json!({"metadata": {"name": name, "namespace": "shop"}, "status": {"other": 1}}));
    let warning = Problem {
        severity: Severity::Warning,
        object: key(name),
        field: "spec.hosts".to_owned(),
        message: "doubtful".to_owned(),
        hint: String::new(),
    };
    let outcome =
        Outcome { generation: 2, uid: "u".to_owned(), warnings: vec![warning], ..Outcome::default() };
    (server, outcome)
}

fn outcomes(of: &[(&str, &Outcome)]) -> Outcomes {
    Arc::new(of.iter().map(|(name, outcome)| (key(name), (*outcome).clone())).collect::<BTreeMap<_, _>>())
}

fn conditions(server: &FakeServer, name: &str) -> Vec<Condition> {
    let object = server.get(RULES, "shop", name).expect("the rule");
    serde_json::from_value(object["status"]["conditions"].clone()).expect("conditions")
}

/// How many writes there were of this verb.
fn count(server: &FakeServer, verb: &str) -> usize {
    server.writes().iter().filter(|write| write.starts_with(verb)).count()
}

#[tokio::test]
async fn conditions_and_an_event_are_written_once() {
    let (server, mut outcome) = server("web").await;
    let cluster = cluster(&server);
    let (keeper, mut memory) = (keeper(&cluster), Memory::default());
    keeper.round(&outcomes(&[("web", &outcome)]), &mut memory).await;
    let written = conditions(&server, "web");
    let seen: Vec<_> =
        written.iter().map(|c| (c.r#type.as_str(), c.status.as_str(), c.observed_generation)).collect();
    assert_eq!(seen, [("Accepted", "True", 2), ("Warning", "True", 2)]);
    assert_eq!(server.get(RULES, "shop", "web").expect("the rule")["status"]["other"], 1);
    assert_eq!((count(&server, "patch status"), count(&server, "create")), (1, 1), "{:?}", server.writes());
    // The watch has not told of it yet, then it has.
    keeper.round(&outcomes(&[("web", &outcome)]), &mut memory).await;
    outcome.conditions = written.into();
    keeper.round(&outcomes(&[("web", &outcome)]), &mut memory).await;
    // A new leader reads what the last one wrote.
    keeper.round(&outcomes(&[("web", &outcome)]), &mut Memory::default()).await;
    assert_eq!((count(&server, "patch status"), count(&server, "create")), (1, 1));
    outcome.conditions = Box::default();
    keeper.round(&outcomes(&[("web", &outcome)]), &mut memory).await;
    assert_eq!(count(&server, "patch status"), 2, "somebody took them away after the watch had told of them");
    outcome.conditions = conditions(&server, "web").into();
    outcome.warnings.clear();
    keeper.round(&outcomes(&[("web", &outcome)]), &mut memory).await;
    assert_eq!(conditions(&server, "web").len(), 1);
    assert_eq!((count(&server, "patch status"), count(&server, "create")), (3, 3), "{:?}", server.writes());
}

#[tokio::test]
async fn an_event_says_what_it_is_about() {
    let (server, outcome) = server("web").await;
    let cluster = cluster(&server);
    keeper(&cluster).round(&outcomes(&[("web", &outcome)]), &mut Memory::default()).await;
    let events: Vec<Value> = server.all(EVENTS);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event["regarding"]["kind"], "VirtualService");
    assert_eq!(event["regarding"]["uid"], "u");
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("Doubtful")));
    assert_eq!(event["note"], "spec.hosts: doubtful");
}

#[tokio::test]
async fn what_may_not_be_written_is_told_and_left_alone_for_a_while() {
    let (server, outcome) = server("web").await;
    let cluster = cluster(&server);
    let (keeper, mut memory) = (keeper(&cluster), Memory::default());
    server.forbid("create", EVENTS);
    keeper.round(&outcomes(&[("web", &outcome)]), &mut memory).await;
    assert_eq!(conditions(&server, "web").len(), 2, "without Events there are conditions");
    server.forbid("patch", RULES);
    let other = Outcome { generation: 3, ..outcome };
    for _ in 0..3 {
        keeper.round(&outcomes(&[("web", &other)]), &mut memory).await;
    }
    assert_eq!((count(&server, "patch status"), count(&server, "create")), (2, 1), "{:?}", server.writes());
    let lines = cluster.writers.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[tokio::test]
async fn an_object_that_is_gone_keeps_no_other_from_its_status() {
    let (server, outcome) = server("web").await;
    let cluster = cluster(&server);
    let both = outcomes(&[("gone", &outcome), ("web", &outcome)]);
    keeper(&cluster).round(&both, &mut Memory::default()).await;
    assert_eq!(conditions(&server, "web").len(), 2);
    assert_eq!(cluster.writers.lines(), [""; 0]);
}

#[tokio::test]
async fn an_object_of_a_folder_has_no_status() {
    let (server, outcome) = server("web").await;
    let cluster = cluster(&server);
    let outcome = Outcome { uid: String::new(), ..outcome };
    keeper(&cluster).round(&outcomes(&[("web", &outcome)]), &mut Memory::default()).await;
    assert_eq!(server.writes(), [""; 0]);
}

#[test]
fn a_count_alone_waits() {
    let progress = |accepted| Outcome {
        uid: "u".to_owned(),
        progress: Some(super::super::Progress { needed: 3, accepted, ..Default::default() }),
        ..Outcome::default()
    };
    let of = |outcome: &Outcome| {
        let said = conditions::said(outcome, Level::Progress);
        (conditions::merged(outcome, &said, "now"), said)
    };
    let (first, _) = of(&progress(1));
    let then = |accepted| Outcome { conditions: first.clone().into(), ..progress(accepted) };
    for (accepted, only) in [(2, true), (3, false)] {
        let outcome = then(accepted);
        let (merged, said) = of(&outcome);
        assert_eq!(only_counts(&outcome, &said, &merged), only, "{accepted}");
    }
}
