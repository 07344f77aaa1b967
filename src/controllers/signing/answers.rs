//! What becomes of requests, told to those who wait for it: one watch for all of them.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use kube::api::{Api, WatchEvent, WatchParams};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::{RESOURCE, Unsigned};
use crate::write::{Write, Writer};

/// The condition that lets signers sign.
pub(super) const APPROVED: &str = "Approved";

/// Pause between two watches.
const PAUSE: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };

/// The same after one that the server refused, unless there is another version to begin with.
const REFUSED: Duration = if cfg!(test) { PAUSE } else { Duration::from_secs(10) };

/// Time between two looks at an object that nobody watches.
const LOOK: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };

type Outcome = Result<Vec<u8>, Unsigned>;

type Waiting = HashMap<String, oneshot::Sender<Outcome>>;

/// Those who wait, by the name of the object.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    waiting: Arc<Mutex<Waiting>>,
    /// Whether objects are watched now.
    watching: Arc<AtomicBool>,
    /// The version that the next watch begins with; empty for the newest state, which some servers cannot tell.
    begin: Arc<watch::Sender<String>>,
}

/// Waits for what becomes of one object.
pub(super) struct Expected {
    answers: Answers,
    name: String,
    told: oneshot::Receiver<Outcome>,
}

impl Expected {
    /// What became of it; asked for once. None if it was not told for a while, and cannot be: then it is to be looked at.
    pub(super) async fn outcome(&mut self) -> Option<Outcome> {
        loop {
            match timeout(LOOK, &mut self.told).await {
                Ok(told) => return Some(told.unwrap_or(Err(Unsigned::Left))),
                Err(_) if self.answers.watching.load(Ordering::Relaxed) => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.answers.lock().remove(&self.name);
    }
}

impl Answers {
    /// Waits for what becomes of an object from now on.
    pub(super) fn expect(&self, name: &str) -> Expected {
        let (sender, told) = oneshot::channel();
        self.lock().insert(name.to_owned(), sender);
        Expected { answers: self.clone(), name: name.to_owned(), told }
    }

    /// Follows all objects, until it is dropped. Each watch begins where the one before ended, or with all that are there, so
    /// nothing is missed between two.
    pub(super) async fn follow(&self, api: &Api<CertificateSigningRequest>, writer: &Writer) {
        let what = Write::new("watch", RESOURCE, "", "");
        let mut begin = self.begin.subscribe();
        loop {
            let from = begin.borrow_and_update().clone();
            let ended = self.watch(api, writer, (&what, from.as_str())).await;
            self.watching.store(false, Ordering::Relaxed);
            let pause = if matches!(ended, Err(kube::Error::Api(_))) { REFUSED } else { PAUSE };
            match ended {
                Ok(()) => sleep(PAUSE).await,
                Err(error) => {
                    // Counted, and told if somebody must do something about it.
                    let _ = writer.outcome::<()>(&what, Err(error));
                    let _ = timeout(pause, begin.wait_for(|version| *version != from)).await;
                }
            }
        }
    }

    /// An object has this version: whatever becomes of it comes later.
    pub(super) fn seen(&self, version: Option<String>) {
        let Some(version) = version else { return };
        if !self.watching.load(Ordering::Relaxed) || self.begin.borrow().is_empty() {
            self.begin.send_replace(version);
        }
    }

    /// One watch, to its end.
    async fn watch(
        &self,
        api: &Api<CertificateSigningRequest>,
        writer: &Writer,
        (what, from): (&Write, &str),
    ) -> kube::Result<()> {
        let mut events = pin!(api.watch(&WatchParams::default(), from).await?);
        self.watching.store(true, Ordering::Relaxed);
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Error(status)) => {
                    // Perhaps too old a version.
                    self.begin
                        .send_if_modified(|begin| !from.is_empty() && !std::mem::take(begin).is_empty());
                    return Err(kube::Error::Api(status));
                }
                Ok(event) => {
                    writer.well(what);
                    if let Some(version) = version(&event) {
                        self.begin.send_replace(version);
                    }
                    self.take(event);
                }
                // The connection has ended; if the server is away, the next watch is told so.
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn take(&self, event: WatchEvent<CertificateSigningRequest>) {
        let (name, outcome) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let Some(outcome) = outcome(&object) else { return };
                (object.metadata.name, outcome)
            }
            WatchEvent::Deleted(object) => {
                let gone = refused(&object, "was deleted by somebody else".to_owned());
                (object.metadata.name, Err(gone))
            }
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => return,
        };
        if let Some(sender) = self.lock().remove(&name.unwrap_or_default()) {
            // Nobody may wait for it any more.
            let _ = sender.send(outcome);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The version that an event tells.
fn version(event: &WatchEvent<CertificateSigningRequest>) -> Option<String> {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            object.metadata.resource_version.clone()
        }
        WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version.clone()),
        WatchEvent::Error(_) => None,
    }
}

/// What became of an object; none while nothing did.
pub(super) fn outcome(object: &CertificateSigningRequest) -> Option<Outcome> {
    let status = object.status.as_ref()?;
    if let Some(certificate) = &status.certificate {
        return Some(Ok(certificate.0.clone()));
    }
    let said = |kind: &str, word: &str| {
        let condition = find(status, kind)?;
        let [reason, message] =
            [&condition.reason, &condition.message].map(|text| text.as_deref().unwrap_or_default());
        Some(Err(refused(object, format!("{word}: {reason}: {message}"))))
    };
    said("Denied", "was denied").or_else(|| said("Failed", "could not be signed"))
}

/// Adds an approval; false if there is one.
pub(super) fn approve(
    object: &mut CertificateSigningRequest,
    approval: CertificateSigningRequestCondition,
) -> bool {
    let status = object.status.get_or_insert_default();
    if find(status, APPROVED).is_some() {
        return false;
    }
    status.conditions.get_or_insert_default().push(approval);
    true
}

fn find<'a>(
    status: &'a CertificateSigningRequestStatus,
    kind: &str,
) -> Option<&'a CertificateSigningRequestCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind && condition.status == "True")
}

fn refused(object: &CertificateSigningRequest, problem: String) -> Unsigned {
    let name = object.metadata.name.clone().unwrap_or_default();
    Unsigned::Refused { name, signer: object.spec.signer_name.clone(), problem }
}
