//! The controller against an API server in memory.

use std::time::Duration;

use api::decode::AnyObject;
use api::{Kind, Meta, Object, ObjectKey};
use serde_json::{Value, json};
use sources::event::Event;
use sources::feed::Listener;
use testkit::kubernetes::FakeServer;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::discovered::namespaces;
use crate::testing::cluster;

const CONFIG_MAPS: &str = "/api/v1/configmaps";
const NAME: &str = "istio-ca-root-cert";

fn namespace(name: &str) -> Event {
    let key = ObjectKey { kind: Kind::Namespace, namespace: "".into(), name: name.into() };
    let meta = Meta { name: name.into(), ..Meta::default() };
    let spec = api::kubernetes::Namespace::default();
    Event { key, object: Some(Arc::new(AnyObject::Namespace(Arc::new(Object { meta, spec })))) }
}

struct Running {
    namespaces: Feed<Namespace>,
    root: watch::Sender<Option<Arc<str>>>,
    _settings: watch::Sender<Option<Ref<MeshConfig>>>,
    _task: AbortOnDropHandle<()>,
}

/// The controller, with these namespaces at the start.
fn start(server: &FakeServer, at_start: &[&str]) -> Running {
    let cluster = cluster(server);
    let namespaces = namespaces();
    namespaces.take(&at_start.iter().map(|name| namespace(name)).collect::<Vec<_>>());
    namespaces.complete();
    let (settings, watched) = watch::channel(Some(Ref::default()));
    let (root, trusted) = watch::channel(Some("root".into()));
    let controller = RootCertificates {
        writer: cluster.writers.of("root certificates"),
        connection: cluster.connection,
        name: NAME.into(),
        key: ROOT,
        namespaces: namespaces.clone(),
        settings: watched,
        root: trusted,
    };
    let task = tokio::spawn(async move { controller.run(CancellationToken::new()).await });
    Running { namespaces, root, _settings: settings, _task: AbortOnDropHandle::new(task) }
}

fn root(server: &FakeServer, namespace: &str) -> Option<String> {
    let object = server.get(CONFIG_MAPS, namespace, NAME)?;
    object["data"][ROOT].as_str().map(str::to_owned)
}

async fn until_root(server: &FakeServer, namespace: &str, wanted: &str) {
    let holds = async {
        while root(server, namespace).as_deref() != Some(wanted) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        timeout(Duration::from_secs(10), holds).await.is_ok(),
        "{namespace} has {:?}",
        root(server, namespace)
    );
}

fn map(namespace: &str, data: &Value) -> Value {
    json!({"metadata": {"name": NAME, "namespace": namespace, "labels": {"mine": "yes"}}, "data": data})
}

#[tokio::test]
async fn every_namespace_has_the_root_and_what_others_do_is_undone() {
    let server = FakeServer::start(&[CONFIG_MAPS]).await;
    server.put(CONFIG_MAPS, map("equal", &json!({"root-cert.pem": "root"})));
    server.put(CONFIG_MAPS, map("old", &json!({"root-cert.pem": "old", "more": "kept"})));
    let running = start(&server, &["equal", "old", "shop"]);
    until_root(&server, "shop", "root").await;
    until_root(&server, "old", "root").await;
    let labels =
        |namespace| server.get(CONFIG_MAPS, namespace, NAME).expect("there")["metadata"]["labels"].clone();
    assert_eq!(labels("shop"), json!({"istio.io/config": "true"}));
    assert_eq!(labels("old"), json!({"mine": "yes"}));
    assert_eq!(server.get(CONFIG_MAPS, "old", NAME).expect("there")["data"]["more"], "kept");

    running.namespaces.take(&[namespace("new")]);
    until_root(&server, "new", "root").await;
    server.put(CONFIG_MAPS, map("shop", &json!({"root-cert.pem": "evil"})));
    until_root(&server, "shop", "root").await;
    server.delete(CONFIG_MAPS, "new", NAME);
    until_root(&server, "new", "root").await;

    let written = server.writes();
    assert!(written.iter().all(|write| !write.contains(" equal/")), "{written:?}");
    running.root.send_replace(Some("renewed".into()));
    for namespace in ["equal", "new", "old", "shop"] {
        until_root(&server, namespace, "renewed").await;
    }
}

#[tokio::test]
async fn nothing_is_written_without_a_root() {
    let server = FakeServer::start(&[CONFIG_MAPS]).await;
    server.put(CONFIG_MAPS, map("shop", &json!({"root-cert.pem": "of another"})));
    let running = start(&server, &[]);
    running.root.send_replace(None);
    running.namespaces.take(&[namespace("shop")]);
    running.root.send_replace(None);
    while server.asked(CONFIG_MAPS, "watch") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.writes(), [""; 0]);
    running.root.send_replace(Some("root".into()));
    until_root(&server, "shop", "root").await;
}

#[tokio::test]
async fn revocation_lists_are_written_too_and_none_is_an_empty_one() {
    let server = FakeServer::start(&[CONFIG_MAPS]).await;
    let cluster = cluster(&server);
    let namespaces = namespaces();
    namespaces.take(&[namespace("shop")]);
    namespaces.complete();
    let (_settings, watched) = watch::channel(Some(Ref::default()));
    let (lists, revoked) = watch::channel(Some("".into()));
    let controller = RootCertificates {
        writer: cluster.writers.of("revocation lists"),
        connection: cluster.connection,
        name: "istio-ca-crl".into(),
        key: REVOKED,
        namespaces,
        settings: watched,
        root: revoked,
    };
    let _task =
        AbortOnDropHandle::new(tokio::spawn(async move { controller.run(CancellationToken::new()).await }));
    for wanted in ["", "list"] {
        lists.send_replace(Some(wanted.into()));
        let holds = async {
            loop {
                let map = server.get(CONFIG_MAPS, "shop", "istio-ca-crl");
                if map.is_some_and(|map| map["data"] == json!({"ca-crl.pem": wanted})) {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), holds).await.expect(wanted);
    }
}
