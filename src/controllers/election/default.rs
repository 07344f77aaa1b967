//! The default revision: what the tag `default` points to.
//!
//! Source: Istio `pkg/revisions/default_watcher.go`.

use std::sync::{Arc, OnceLock};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::ResourceExt;
use kube::api::Api;
use sources::kube::{Change, Connection, Following, Selection};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The webhooks of the tag `default`, whose label says the revision.
const TAG: &str = "istio-revision-tag-default";
const REVISION: &str = "istio.io/rev";

/// Follows it for all locks as soon as one asks for it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefaultRevision(Arc<OnceLock<Followed>>);

#[derive(Debug)]
struct Followed {
    revision: watch::Receiver<Option<String>>,
    _task: AbortOnDropHandle<()>,
}

impl DefaultRevision {
    /// What it is and becomes; none while there is no such tag, or that is not known.
    pub(crate) fn follow(&self, connection: &Connection) -> watch::Receiver<Option<String>> {
        let followed = self.0.get_or_init(|| {
            let api = Api::<MutatingWebhookConfiguration>::all(connection.client().clone());
            let name = format!("mutatingwebhookconfigurations.admissionregistration.k8s.io {TAG}");
            let changes = connection
                .follow(&name, api, &Selection::named(TAG), |tag| tag.labels().get(REVISION).cloned());
            let (sender, revision) = watch::channel(None);
            Followed { revision, _task: AbortOnDropHandle::new(tokio::spawn(tell(changes, sender))) }
        });
        followed.revision.clone()
    }
}

async fn tell(mut changes: Following<Option<String>>, revision: watch::Sender<Option<String>>) {
    while let Some(change) = changes.next().await {
        let now = match change {
            Change::Listed(tags) => tags.into_iter().next().flatten(),
            Change::Applied(revision) => revision,
            Change::Deleted(_) | Change::Absent => None,
        };
        revision.send_if_modified(|known| {
            let differs = *known != now;
            *known = now;
            differs
        });
    }
}
