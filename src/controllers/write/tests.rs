//! Writes against an API server in memory.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use prometheus::TextEncoder;
use testkit::kubernetes::FakeServer;

use super::*;
use crate::testing::{Cluster, cluster};

const CONFIG_MAPS: &str = "/api/v1/configmaps";

struct Writes {
    writers: Writers,
    registry: Registry,
    api: Api<ConfigMap>,
}

impl Writes {
    fn to(server: &FakeServer) -> Self {
        let Cluster { connection, writers, registry } = cluster(server);
        Self { writers, registry, api: Api::namespaced(connection.client().clone(), "shop") }
    }

    async fn create(&self, name: &str) -> Result<ConfigMap, WriteError> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        let (what, post) = (Write::new("create", "configmaps", "shop", name), PostParams::default());
        self.writers.of("test").write(&what, || self.api.create(&post, &object)).await
    }

    fn counted(&self) -> Vec<String> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).expect("text");
        text.lines()
            .filter_map(|line| line.strip_prefix("pilothouse_kubernetes_writes"))
            .map(str::to_owned)
            .collect()
    }
}

#[tokio::test]
async fn what_became_of_writes_is_returned_and_counted() {
    let server = FakeServer::start(&[CONFIG_MAPS]).await;
    let writes = Writes::to(&server);
    assert!(writes.create("a").await.is_ok());
    assert_eq!(writes.create("a").await, Err(WriteError::Exists));
    server.remove_list(CONFIG_MAPS);
    assert_eq!(writes.create("b").await, Err(WriteError::Gone));
    let expected = ["exists", "gone", "ok"]
        .map(|result| format!("{{cluster=\"home\",controller=\"test\",result=\"{result}\"}} 1"));
    assert_eq!(writes.counted(), expected);
    assert_eq!(writes.writers.lines(), [""; 0]);
}

#[tokio::test]
async fn what_is_forbidden_is_told_with_the_rule_that_is_missing_until_it_is_not() {
    let server = FakeServer::start(&[CONFIG_MAPS]).await;
    let writes = Writes::to(&server);
    server.forbid("create", CONFIG_MAPS);
    for name in ["a", "b"] {
        let error = writes.create(name).await.expect_err("forbidden");
        assert!(
            matches!(&error, WriteError::Forbidden(text) if text.ends_with("allow create on configmaps")),
            "{error}"
        );
    }
    let lines = writes.writers.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("error: test: cannot create configmaps shop/b: 403 "), "{lines:?}");
    assert_eq!(server.writes().len(), 2, "no try is made again");
    server.allow("create", CONFIG_MAPS);
    assert!(writes.create("a").await.is_ok());
    assert_eq!(writes.writers.lines(), [""; 0]);
}

#[tokio::test]
async fn a_server_that_was_away_is_written_to_when_it_is_back() {
    let mut server = FakeServer::start(&[CONFIG_MAPS]).await;
    let writes = Writes::to(&server);
    server.stop().await;
    let health = writes.writers.0.connection.health().clone();
    let (created, ()) = tokio::join!(writes.create("a"), async {
        while health.reachable() {
            sleep(Duration::from_millis(5)).await;
        }
        server.start_again().await;
    });
    assert!(created.is_ok(), "{created:?}");
    assert!(server.get(CONFIG_MAPS, "shop", "a").is_some());
}
