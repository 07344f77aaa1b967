//! ConfigMaps by which every namespace learns the mesh's root and its revocation lists: workloads mount them, istioctl reads
//! them.
//!
//! Source: `shared/spec/kubernetes.md` 1.4, trap 15; Istio
//! `pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go`, `security/pkg/k8s/configutil.go`.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use api::mesh_config::MeshConfig;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use model::Ref;
use sources::feed::Feed;
use sources::kube::{Change, Connection, Selection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_128;

use crate::discovered::Namespace;
use crate::election::Lock;
use crate::queue::until;
use crate::write::{Write, WriteError, Writer};
use plan::{Plan, Todo};

/// The key of the ConfigMap that holds the root, PEM.
pub const ROOT: &str = "root-cert.pem";

/// The key of the ConfigMap that holds revocation lists, PEM.
pub const REVOKED: &str = "ca-crl.pem";

/// The label that the ConfigMap is made with.
const LABEL: (&str, &str) = ("istio.io/config", "true");

/// Namespaces that are written to at the same time.
const TOGETHER: usize = 16;

/// The lock whose holder does this.
pub fn lock() -> Lock {
    Lock::config_map("istio-namespace-controller-election")
}

/// Writes the ConfigMaps.
#[derive(Debug)]
pub struct RootCertificates {
    /// The cluster.
    pub connection: Connection,
    /// How it writes.
    pub writer: Writer,
    /// The ConfigMap's name (`PILOT_CA_CERT_CONFIGMAP`, `PILOT_CRL_CONFIGMAP`).
    pub name: Arc<str>,
    /// What of it is written: [`ROOT`] or [`REVOKED`].
    pub key: &'static str,
    /// The namespaces, from [`crate::discovered::namespaces`].
    pub namespaces: Feed<Namespace>,
    /// The mesh configuration, whose `discoverySelectors` say which namespaces count; none while it is not known.
    pub settings: watch::Receiver<Option<Ref<MeshConfig>>>,
    /// What is to stand there, PEM; none while it is not known: then nothing is written.
    pub root: watch::Receiver<Option<Arc<str>>>,
}

/// Of a ConfigMap: its namespace, and the digest of what it holds, if it holds anything.
type Held = (Arc<str>, Option<u128>);

fn held(object: &ConfigMap, key: &str) -> Held {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default().into();
    let root = object.data.as_ref().and_then(|data| data.get(key));
    (namespace, root.map(|root| xxh3_128(root.as_bytes())))
}

impl RootCertificates {
    /// Writes what is missing or differs, until `leading` ends.
    pub async fn run(&self, leading: CancellationToken) {
        tokio::select! {
            () = self.work() => {}
            () = leading.cancelled() => {}
        }
    }

    async fn work(&self) {
        let all = Api::<ConfigMap>::all(self.connection.client().clone());
        let what = format!("configmaps {}", self.name);
        let (key, named) = (self.key, Selection::named(&self.name));
        let mut maps = self.connection.follow(&what, all, &named, move |object| held(&object, key));
        let mut namespaces = self.namespaces.read();
        let (mut settings, mut root) = (self.settings.clone(), self.root.clone());
        let mut plan = Plan::new();
        plan.select(settings.borrow_and_update().as_ref().map(|mesh| mesh.discovery_selectors.clone()));
        plan.trust(root.borrow_and_update().clone());
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < TOGETHER
                && let Some((namespace, todo)) = plan.next(Instant::now())
            {
                running.push(async move {
                    let done = self.write(&namespace, &todo).await;
                    (namespace, done)
                });
            }
            let due = plan.due();
            tokio::select! {
                news = namespaces.next() => plan.namespaces(news),
                Some(change) = maps.next() => match change {
                    Change::Listed(maps) => plan.listed(maps),
                    Change::Applied((namespace, digest)) => plan.map(namespace, Some(digest)),
                    Change::Deleted((namespace, _)) => plan.map(namespace, None),
                    Change::Absent => plan.listed(Vec::new()),
                },
                Ok(()) = settings.changed() => {
                    plan.select(settings.borrow_and_update().as_ref().map(|mesh| mesh.discovery_selectors.clone()));
                }
                Ok(()) = root.changed() => plan.trust(root.borrow_and_update().clone()),
                Some((namespace, done)) = running.next() => plan.written(&namespace, done, Instant::now()),
                () = until(due) => {}
            }
        }
    }

    /// Makes or mends one namespace's ConfigMap; the digest of the root that it holds then.
    async fn write(&self, namespace: &str, todo: &Todo) -> Result<u128, WriteError> {
        let api = Api::<ConfigMap>::namespaced(self.connection.client().clone(), namespace);
        let about = |verb| Write::new(verb, "configmaps", namespace, &self.name);
        let (post, digest) = (PostParams::default(), xxh3_128(todo.root.as_bytes()));
        let there = if todo.there {
            self.writer.write(&about("get"), || api.get_opt(&self.name)).await?
        } else {
            None
        };
        let done = match there {
            Some(object) if held(&object, self.key).1 == Some(digest) => return Ok(digest),
            Some(mut object) => {
                object.data.get_or_insert_default().insert(self.key.to_owned(), todo.root.to_string());
                let what = about("update");
                self.writer.write(&what, || api.replace(&self.name, &post, &object)).await
            }
            None => {
                let object = self.fresh(namespace, &todo.root);
                self.writer.write(&about("create"), || api.create(&post, &object)).await
            }
        };
        if let Err(error @ WriteError::Refused(_)) = &done {
            self.writer.tell(&about("update"), error);
        }
        done.map(|_| digest)
    }

    fn fresh(&self, namespace: &str, root: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(self.name.to_string()),
                labels: Some([(LABEL.0.to_owned(), LABEL.1.to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some([(self.key.to_owned(), root.to_owned())].into()),
            ..ConfigMap::default()
        }
    }
}
