//! The status of Ingresses: at which addresses their requests go in.
//!
//! Source: `shared/spec/kubernetes.md` 1.8, 2.12; Istio `pilot/pkg/config/kube/ingress/`.

mod addresses;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use api::ObjectKey;
use api::kubernetes::LoadBalancerIngress;
use api::mesh_config::MeshConfig;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use model::Ref;
use serde_json::{Map, Value, json};
use sources::feed::Feed;
use sources::kube::{Connection, resource};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::discovered::Namespace;
use crate::election::Lock;
use crate::queue::until;
use crate::write::{Write, WriteError, Writer};
use plan::Plan;

pub use plan::{Part, feed};

/// Ingresses that are written to at the same time.
const TOGETHER: usize = 8;

/// The lock whose holder does this.
pub fn lock() -> Lock {
    Lock::config_map("istio-leader")
}

/// Writes the addresses.
#[derive(Debug)]
pub struct IngressStatus {
    /// The cluster.
    pub connection: Connection,
    /// How it writes.
    pub writer: Writer,
    /// The namespace of the gateways that serve Ingresses.
    pub namespace: Arc<str>,
    /// What it looks at, from [`feed`] of the same namespace.
    pub objects: Feed<Part>,
    /// The namespaces, from [`crate::discovered::namespaces`].
    pub namespaces: Feed<Namespace>,
    /// The mesh configuration, which says which Ingresses are the mesh's own and which Service is the gateways'; none while
    /// it is not known: then nothing is written.
    pub settings: watch::Receiver<Option<Ref<MeshConfig>>>,
}

/// What was written, and what became of it.
type Done = (ObjectKey, Result<(), WriteError>);

impl IngressStatus {
    /// Writes what differs, until `leading` ends.
    pub async fn run(&self, leading: CancellationToken) {
        tokio::select! {
            () = self.work() => {}
            () = leading.cancelled() => {}
        }
    }

    async fn work(&self) {
        let (mut objects, mut namespaces) = (self.objects.read(), self.namespaces.read());
        let mut settings = self.settings.clone();
        let mut plan = Plan::new(Arc::clone(&self.namespace));
        plan.settle(settings.borrow_and_update().clone());
        // Nothing is taken back before it is known what is there.
        plan.namespaces(&namespaces.next().await);
        plan.objects(objects.next().await);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < TOGETHER
                && let Some((key, wanted)) = plan.next(Instant::now())
            {
                running.push(self.write(key, wanted));
            }
            let due = plan.due();
            tokio::select! {
                news = objects.next() => plan.objects(news),
                news = namespaces.next() => plan.namespaces(&news),
                Ok(()) = settings.changed() => plan.settle(settings.borrow_and_update().clone()),
                Some((key, done)) = running.next() => plan.written(&key, &done, Instant::now()),
                () = until(due) => {}
            }
        }
    }

    /// Puts the addresses into a status; what else stands there stays.
    async fn write(&self, key: ObjectKey, wanted: Vec<LoadBalancerIngress>) -> Done {
        let client = self.connection.client().clone();
        let api = Api::<DynamicObject>::namespaced_with(client, &key.namespace, &resource(key.kind));
        let what = Write::new("patch", "ingresses/status", &key.namespace, &key.name);
        let list: Vec<Value> = wanted.iter().map(document).collect();
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": list}}}));
        let params = PatchParams::default();
        let request = || api.patch_status(&key.name, &params, &patch);
        let done = self.writer.write(&what, request).await.map(drop);
        if let Err(error @ WriteError::Refused(_)) = &done {
            self.writer.tell(&what, error);
        }
        (key, done)
    }
}

/// An address as the API has it: without the member that is empty.
fn document(address: &LoadBalancerIngress) -> Value {
    let members = [("ip", &address.ip), ("hostname", &address.hostname)].into_iter();
    let members = members.filter(|(_, text)| !text.is_empty());
    Value::Object(members.map(|(name, text)| (name.to_owned(), json!(text))).collect::<Map<_, _>>())
}
