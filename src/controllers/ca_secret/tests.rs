//! Roots in Secrets, of one replica and of several.

use serde_json::json;
use testkit::kubernetes::FakeServer;

use super::*;
use crate::testing::{Cluster, SYSTEM, cluster};

const SECRETS: &str = "/api/v1/secrets";

fn pair(name: &str) -> CaPair {
    CaPair { cert_pem: format!("{name} cert"), key_pem: format!("{name} key").into(), replacement: None }
}

fn secret(cluster: &Cluster) -> CaSecret {
    CaSecret {
        connection: cluster.connection.clone(),
        writer: cluster.writers.of("ca"),
        namespace: SYSTEM.to_owned(),
        in_cacerts: false,
    }
}

async fn load(server: &FakeServer, name: &str) -> CaPair {
    let cluster = cluster(server);
    let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { Ok(pair(name)) });
    secret(&cluster).load_or_create(read, make).await
}

#[tokio::test]
async fn replicas_that_start_at_once_have_the_same_root() {
    let server = FakeServer::start(&[SECRETS]).await;
    let (a, b) = tokio::join!(load(&server, "a"), load(&server, "b"));
    assert_eq!(a, b);
    assert_eq!(load(&server, "c").await, a);
    let secret = server.get(SECRETS, SYSTEM, NAME).expect("a Secret");
    assert_eq!(secret["type"], "istio.io/ca-root");
    let keys: Vec<&String> = secret["data"].as_object().expect("data").keys().collect();
    assert_eq!(keys, ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "key.pem", "root-cert.pem"]);
    assert_eq!(secret["data"]["root-cert.pem"], secret["data"]["ca-cert.pem"]);
    assert_eq!(secret["data"]["key.pem"], "");
}

#[tokio::test]
async fn a_mesh_with_a_plugged_in_authority_gets_no_other_root() {
    let server = FakeServer::start(&[SECRETS]).await;
    server.put(SECRETS, json!({"metadata": {"name": "cacerts", "namespace": SYSTEM}}));
    let cluster = cluster(&server);
    let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { panic!("there is one") });
    let secret = secret(&cluster);
    let told = async {
        while cluster.writers.lines().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        root = secret.load_or_create(read, make) => panic!("{root:?}"),
        () = told => {}
    }
    assert!(
        cluster.writers.lines()[0]
            .contains("use secrets istio-system/cacerts: a certificate authority is plugged in")
    );
    assert_eq!(server.writes(), [""; 0]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_told_and_not_replaced() {
    let server = FakeServer::start(&[SECRETS]).await;
    server.put(
        SECRETS,
        json!({"metadata": {"name": NAME, "namespace": SYSTEM}, "data": {"ca-cert.pem": "YQ=="}}),
    );
    let cluster = cluster(&server);
    let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { panic!("there is one") });
    let secret = secret(&cluster);
    let mended = async {
        while cluster.writers.lines().is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
        let lines = cluster.writers.lines();
        assert!(
            lines[0].contains("use secrets istio-system/istio-ca-secret: data[ca-key.pem] is missing"),
            "{lines:?}"
        );
        server.put(
            SECRETS,
            json!({"metadata": {"name": NAME, "namespace": SYSTEM},
            "data": {"ca-cert.pem": "YQ==", "ca-key.pem": "Yg=="}}),
        );
    };
    let (root, ()) = tokio::join!(secret.load_or_create(read, make), mended);
    assert_eq!(root, CaPair { cert_pem: "a".to_owned(), key_pem: "b".to_owned().into(), replacement: None });
    assert_eq!(cluster.writers.lines(), [""; 0]);
}

#[tokio::test]
async fn of_two_that_renew_at_once_one_wins_and_other_keys_stay() {
    let server = FakeServer::start(&[SECRETS]).await;
    load(&server, "a").await;
    let cluster = cluster(&server);
    let kept = secret(&cluster);
    let one = kept.read().await.expect("a Secret");
    let other = kept.read().await.expect("a Secret");
    assert_eq!(one.pair, pair("a"));
    assert!(kept.replace(one, &pair("b")).await);
    assert!(!kept.replace(other, &pair("c")).await);
    let now = kept.read().await.expect("a Secret");
    assert_eq!(now.pair, pair("b"));
    let secret = server.get(SECRETS, SYSTEM, NAME).expect("a Secret");
    assert_eq!(secret["data"]["root-cert.pem"], secret["data"]["ca-cert.pem"]);
    assert_eq!(secret["data"]["key.pem"], "");
    assert_eq!(secret["type"], "istio.io/ca-root");
    assert_eq!(cluster.writers.lines(), [""; 0]);
}

#[tokio::test]
async fn nothing_is_replaced_where_nothing_is() {
    let server = FakeServer::start(&[SECRETS]).await;
    let cluster = cluster(&server);
    assert!(secret(&cluster).read().await.is_none());
}

#[tokio::test]
async fn a_replacement_is_kept_beside_the_root_and_removed_with_it() {
    let server = FakeServer::start(&[SECRETS]).await;
    load(&server, "a").await;
    let cluster = cluster(&server);
    let kept = secret(&cluster);
    let mut changes = kept.follow();
    changes.next().await.expect("a list");
    let one = kept.read().await.expect("a Secret");
    let begun = CaPair { replacement: Some("{}".to_owned().into()), ..pair("a") };
    assert!(kept.replace(one, &begun).await);
    changes.next().await.expect("a change is told");
    let next = kept.read().await.expect("a Secret");
    assert_eq!(next.pair, begun);
    assert!(kept.replace(next, &pair("b")).await);
    let secret = server.get(SECRETS, SYSTEM, NAME).expect("a Secret");
    assert_eq!(secret["data"].get("root-replacement.json"), None);
    assert_eq!(kept.read().await.expect("a Secret").pair, pair("b"));
}

#[tokio::test]
async fn a_root_in_cacerts_is_made_and_used_if_that_is_wanted_and_it_says_that_it_was_made() {
    let server = FakeServer::start(&[SECRETS]).await;
    let cluster = cluster(&server);
    let kept = CaSecret { in_cacerts: true, ..secret(&cluster) };
    let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { Ok(pair("a")) });
    assert_eq!(kept.load_or_create(read, make).await, pair("a"));
    let made = server.get(SECRETS, SYSTEM, "cacerts").expect("a Secret");
    assert_eq!((&made["type"], &made["data"]["istio-generated"]), (&json!("istio.io/ca-root"), &json!("")));
    assert_eq!(server.get(SECRETS, SYSTEM, NAME), None);
    let one = kept.read().await.expect("a Secret");
    assert!(kept.replace(one, &pair("b")).await);
    // The other name comes first; the reference looks there first, too.
    server.put(SECRETS, pair_of("c"));
    assert_eq!(kept.read().await.expect("a Secret").pair, pair("c"));
    assert!(secret(&cluster).read().await.is_none(), "without the wish it is a plugged-in one");
}

fn pair_of(name: &str) -> serde_json::Value {
    serde_json::to_value(pair(name).secret(SYSTEM, NAME, false)).expect("JSON")
}
