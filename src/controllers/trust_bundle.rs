//! The ClusterTrustBundle by which a cluster learns the mesh's root: pods mount it where ConfigMaps are not wanted
//! (`ENABLE_CLUSTER_TRUST_BUNDLE_API`).
//!
//! Source: `shared/spec/security.md` 1.7; Istio `pilot/pkg/config/kube/clustertrustbundle/controller.go`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::certificates::v1beta1::{ClusterTrustBundle, ClusterTrustBundleSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use sources::kube::{Change, Connection, Selection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::queue::until;
use crate::write::{Write, WriteError, Writer};

/// Its name, which begins with the signer's.
const NAME: &str = "istio.io:istiod-ca:root-cert";

/// Whose certificates it verifies.
const SIGNER: &str = "istio.io/istiod-ca";

/// As roles name it.
const RESOURCE: &str = "clustertrustbundles.certificates.k8s.io";

/// The first pause after a write that failed, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Writes it.
#[derive(Debug)]
pub struct TrustBundle {
    /// The cluster.
    pub connection: Connection,
    /// How it writes.
    pub writer: Writer,
    /// What is to stand there, PEM; none while it is not known: then nothing is written.
    pub root: watch::Receiver<Option<Arc<str>>>,
    /// Makes of it what the API server takes: certificates, each once, and no other blocks.
    pub shape: fn(&str) -> String,
}

/// What is known of the object.
enum Held {
    /// Nothing yet.
    Unknown,
    /// It is not there.
    Nothing,
    /// It is there and holds this.
    Bundle(String),
}

impl TrustBundle {
    /// Writes it when it is missing or differs, until `leading` ends.
    pub async fn run(&self, leading: CancellationToken) {
        tokio::select! {
            () = self.work() => {}
            () = leading.cancelled() => {}
        }
    }

    async fn work(&self) {
        let api = Api::<ClusterTrustBundle>::all(self.connection.client().clone());
        let what = format!("clustertrustbundles {NAME}");
        let read = |object: ClusterTrustBundle| object.spec.trust_bundle;
        let mut news = self.connection.follow(&what, api.clone(), &Selection::named(NAME), read);
        let (mut root, mut held) = (self.root.clone(), Held::Unknown);
        let (mut pause, mut due) = (None, None);
        loop {
            let wanted = root.borrow_and_update().as_deref().map(self.shape);
            if let (Some(wanted), None) = (&wanted, due) {
                pause = match self.settle(&api, &mut held, wanted).await {
                    Ok(()) => None,
                    Err(_) => Some(pause.map_or(PAUSE.0, |pause: Duration| (pause * 2).min(PAUSE.1))),
                };
                due = pause.map(|pause| Instant::now() + pause);
            }
            tokio::select! {
                Some(change) = news.next() => {
                    held = self.learn(change);
                    // Somebody else wrote, or the server is there again.
                    due = None;
                }
                Ok(()) = root.changed() => due = None,
                () = until(due) => due = None,
            }
        }
    }

    /// Takes what the watch tells.
    fn learn(&self, change: Change<String>) -> Held {
        let about = Write::new("list", RESOURCE, "", NAME);
        match change {
            Change::Absent => {
                let words = "the API server does not serve certificates.k8s.io/v1beta1: switch on its feature gate \
                             ClusterTrustBundle and --runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true, \
                             or take ENABLE_CLUSTER_TRUST_BUNDLE_API away: namespaces then get the root in a ConfigMap";
                self.writer.tell(&about, &WriteError::Failed(words.to_owned()));
                Held::Unknown
            }
            Change::Listed(all) => {
                self.writer.well(&about);
                all.into_iter().next().map_or(Held::Nothing, Held::Bundle)
            }
            Change::Applied(bundle) => Held::Bundle(bundle),
            Change::Deleted(_) => Held::Nothing,
        }
    }

    /// Makes or mends it, if it is known and not as wanted.
    async fn settle(
        &self,
        api: &Api<ClusterTrustBundle>,
        held: &mut Held,
        wanted: &str,
    ) -> Result<(), WriteError> {
        let about = |verb| Write::new(verb, RESOURCE, "", NAME);
        let post = PostParams::default();
        let (verb, done) = match held {
            Held::Unknown => return Ok(()),
            Held::Bundle(bundle) if bundle == wanted => return Ok(()),
            Held::Bundle(_) => {
                let Some(mut object) = self.writer.write(&about("get"), || api.get_opt(NAME)).await? else {
                    *held = Held::Nothing;
                    return Err(WriteError::Gone);
                };
                object.spec.trust_bundle = wanted.to_owned();
                let update = about("update");
                ("update", self.writer.write(&update, || api.replace(NAME, &post, &object)).await)
            }
            Held::Nothing => {
                let object = fresh(wanted);
                let create = about("create");
                ("create", self.writer.write(&create, || api.create(&post, &object)).await)
            }
        };
        match done {
            Ok(_) => *held = Held::Bundle(wanted.to_owned()),
            Err(error) => {
                if matches!(error, WriteError::Refused(_)) {
                    self.writer.tell(&about(verb), &error);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

fn fresh(bundle: &str) -> ClusterTrustBundle {
    ClusterTrustBundle {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        spec: ClusterTrustBundleSpec {
            signer_name: Some(SIGNER.to_owned()),
            trust_bundle: bundle.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
