//! The controller against an API server in memory.

use serde_json::{Value, json};
use testkit::kubernetes::FakeServer;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::testing::{Cluster, cluster};
use crate::write::Writers;

const BUNDLES: &str = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles";

struct Running {
    root: watch::Sender<Option<Arc<str>>>,
    writers: Writers,
    _task: AbortOnDropHandle<()>,
}

fn start(server: &FakeServer, root: Option<&str>) -> Running {
    let Cluster { connection, writers, .. } = cluster(server);
    let (sender, trusted) = watch::channel(root.map(Arc::from));
    let controller =
        TrustBundle { connection, writer: writers.of("trust bundle"), root: trusted, shape: str::to_owned };
    let task = tokio::spawn(async move { controller.run(CancellationToken::new()).await });
    Running { root: sender, writers, _task: AbortOnDropHandle::new(task) }
}

fn bundle(text: &str) -> Value {
    json!({"metadata": {"name": NAME, "labels": {"mine": "yes"}}, "spec": {"signerName": SIGNER, "trustBundle": text}})
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), looking).await.expect(what);
}

async fn until_bundle(server: &FakeServer, wanted: &str) {
    let holds = || server.get(BUNDLES, "", NAME).is_some_and(|found| found["spec"]["trustBundle"] == wanted);
    until(wanted, holds).await;
}

#[tokio::test]
async fn it_is_made_and_follows_the_root_and_what_others_do_is_undone() {
    let server = FakeServer::start(&[BUNDLES]).await;
    let running = start(&server, None);
    until("a watch", || server.asked(BUNDLES, "watch") > 0).await;
    assert_eq!(server.writes(), [""; 0], "the root is not known");
    running.root.send_replace(Some("one".into()));
    until_bundle(&server, "one").await;
    let made = server.get(BUNDLES, "", NAME).expect("there");
    assert_eq!(made["spec"], json!({"signerName": "istio.io/istiod-ca", "trustBundle": "one"}));
    running.root.send_replace(Some("two".into()));
    until_bundle(&server, "two").await;
    server.put(BUNDLES, bundle("evil"));
    until_bundle(&server, "two").await;
    let mended = server.get(BUNDLES, "", NAME).expect("there");
    assert_eq!(mended["metadata"]["labels"], json!({"mine": "yes"}), "the rest stays");
    server.delete(BUNDLES, "", NAME);
    until_bundle(&server, "two").await;
}

#[tokio::test]
async fn what_holds_the_root_already_is_not_written() {
    let server = FakeServer::start(&[BUNDLES]).await;
    server.put(BUNDLES, bundle("one"));
    let running = start(&server, Some("one"));
    until("a watch", || server.asked(BUNDLES, "watch") > 0).await;
    running.root.send_replace(Some("two".into()));
    until_bundle(&server, "two").await;
    assert_eq!(server.writes().len(), 1, "{:?}", server.writes());
}

#[tokio::test]
async fn an_api_server_without_the_kind_is_told_with_what_to_do() {
    let server = FakeServer::start(&[]).await;
    let running = start(&server, Some("one"));
    let told = || running.writers.lines().iter().any(|line| line.contains("feature gate ClusterTrustBundle"));
    until("a line", told).await;
    assert_eq!(server.writes(), [""; 0]);
}

#[tokio::test]
async fn what_is_not_allowed_is_told_and_tried_again() {
    let server = FakeServer::start(&[BUNDLES]).await;
    server.forbid("create", BUNDLES);
    let running = start(&server, Some("one"));
    until("a line", || running.writers.lines().iter().any(|line| line.contains(RESOURCE))).await;
    server.allow("create", BUNDLES);
    until_bundle(&server, "one").await;
    until("no line", || running.writers.lines().is_empty()).await;
}
