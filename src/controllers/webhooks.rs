//! The entries of the API server that lead to this control plane's webhooks: whom they trust, and whether objects are refused
//! while nobody answers.
//!
//! Every replica does this: all write the same, and the one that is there must not wait for another.
//!
//! Source: `shared/spec/kubernetes.md` 1.6; Istio `pkg/webhooks/validation/controller/controller.go`.

mod entries;
mod metrics;
mod probe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use sources::due::until;
use sources::kube::{Change, Connection, Following, Selection};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::write::{Write, WriteError, Writer};
use entries::Entries;
pub use metrics::Metrics;
use probe::{Answer, probe};

/// The resource, as RBAC names it.
const RESOURCE: &str = "validatingwebhookconfigurations";

/// The least and the most time between two tries of what did not succeed.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Keeps the validating webhooks of one revision.
#[derive(Debug)]
pub struct Validating {
    /// The cluster.
    pub connection: Connection,
    /// How it is written to.
    pub writer: Writer,
    /// The revision, `default` if it has no other name.
    pub revision: String,
    /// The namespace of the control plane, in which an object is tried out.
    pub namespace: String,
    /// What clients of the webhooks check their certificate against, PEM; nothing is written while it is not known.
    pub roots: watch::Receiver<Option<Arc<str>>>,
    /// What is counted.
    pub metrics: Metrics,
}

/// What is there, and what is still to be done.
#[derive(Debug, Default)]
struct State {
    known: BTreeMap<String, DynamicObject>,
    /// Whether the API server was seen to refuse what this webhook refuses: then it may be relied on.
    proven: bool,
    /// When to try again, and how long to wait after that.
    again: Option<Instant>,
    pause: Duration,
}

impl Validating {
    /// Runs until it is dropped, or until the program is at fault.
    pub async fn run(mut self) {
        let api = Api::<DynamicObject>::all_with(self.connection.client().clone(), &resource());
        let labels = format!("istio.io/rev={}", self.revision);
        let selection = Selection { labels, ..Selection::default() };
        let mut following = self.connection.follow(RESOURCE, api.clone(), &selection, |object| object);
        let mut state = State { pause: PAUSE, ..State::default() };
        while self.next(&mut following, &mut state).await {
            let trusted = self.roots.borrow().clone();
            match self.mend(&api, &mut state, trusted.as_deref()).await {
                true => (state.again, state.pause) = (None, PAUSE),
                false => {
                    state.again = Some(Instant::now() + state.pause);
                    state.pause = (state.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Waits for something to do. Out: whether there will ever be something.
    async fn next(&mut self, following: &mut Following<DynamicObject>, state: &mut State) -> bool {
        let again = state.again;
        tokio::select! {
            change = following.next() => match change {
                Some(change) => state.take(change),
                None => return false,
            },
            Ok(()) = self.roots.changed() => {}
            () = until(again) => {}
        }
        true
    }

    /// Writes what differs, and tries out whether the webhook may be relied on. Out: whether nothing is left to be done.
    async fn mend(&self, api: &Api<DynamicObject>, state: &mut State, trusted: Option<&str>) -> bool {
        if state.known.is_empty() {
            return true;
        }
        if trusted.is_none() {
            self.metrics.not_loaded();
        }
        let trusting = self.write_all(api, state, trusted).await;
        if state.proven {
            return trusting;
        }
        let answer = probe(self.connection.client(), &self.namespace, &self.revision).await;
        match answer {
            Answer::Proven => {
                tracing::info!(
                    "the API server asks the validating webhook: from now on it refuses objects while nobody answers"
                );
                state.proven = true;
                self.write_all(api, state, trusted).await && trusting
            }
            Answer::NotYet(why) => {
                tracing::debug!(why, "the validating webhook is not asked yet");
                false
            }
        }
    }

    async fn write_all(&self, api: &Api<DynamicObject>, state: &mut State, trusted: Option<&str>) -> bool {
        let mut done = true;
        for (name, object) in &mut state.known {
            let Some(next) = Entries::new(trusted, state.proven).mended(object) else { continue };
            let (what, post) = (Write::new("update", RESOURCE, "", name), PostParams::default());
            match self.writer.write(&what, || api.replace(name, &post, &next)).await {
                Ok(written) => {
                    self.metrics.updated();
                    *object = written;
                }
                // Its new form, or that it is gone, comes by itself.
                Err(WriteError::Conflict | WriteError::Gone) => {}
                Err(error) => {
                    if matches!(error, WriteError::Refused(_)) {
                        self.writer.tell(&what, &error);
                    }
                    self.metrics.not_updated(&error);
                    done = false;
                }
            }
        }
        done
    }
}

impl State {
    fn take(&mut self, change: Change<DynamicObject>) {
        let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
        match change {
            Change::Listed(objects) => {
                self.known = objects.into_iter().map(|object| (name(&object), object)).collect();
            }
            Change::Applied(object) => drop(self.known.insert(name(&object), object)),
            Change::Deleted(object) => drop(self.known.remove(&name(&object))),
            Change::Absent => self.known.clear(),
        }
    }
}

/// What is written is read as it stands, so that fields of later versions of Kubernetes stay.
fn resource() -> ApiResource {
    let kind = "ValidatingWebhookConfiguration";
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind),
        RESOURCE,
    )
}

/// Gateways, of which one is tried out.
fn gateways(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "Gateway");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "gateways"))
}
