//! Follows one scope: a list, then a watch from where the list ended, for ever.
//!
//! Source: what client-go's reflector does; Istio `pkg/kube/kclient/client.go`.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Error, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::health::Health;
use super::reach::{Reach, chain, jittered};
use super::state::Number;

/// The first pause after an error; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause after an error.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A server that starts, or has too much to do, refuses for a while; that is told if it still does after so many tries.
const REFUSALS: u32 = 5;

/// How long a kind that the server does not have is left alone, unless its definition changes.
const ABSENT_PAUSE: Duration = Duration::from_secs(60);

/// The server ends a watch after this many seconds.
const WATCH_SECONDS: u32 = 290;

/// After this a watch that says nothing, not even that it ends, is taken to be dead.
const WATCH_PATIENCE: Duration = Duration::from_secs(300);

/// A watch that ended sooner is not started again at once.
const WATCH_LEAST: Duration = Duration::from_secs(1);

/// What a scope's watch says.
#[derive(Debug)]
pub enum Change<T> {
    /// These are all objects.
    Listed(Vec<T>),
    /// An object is new or another.
    Applied(T),
    /// An object is gone; this was its last form.
    Deleted(T),
    /// The server has no such kind.
    Absent,
}

/// Follows one scope of objects `K`, each of which `read` turns into a `T`.
pub(crate) struct Follower<K, T, F> {
    /// The name under which messages are sent.
    pub(crate) number: Number,
    /// The name under which health is told.
    pub(crate) name: String,
    /// The server.
    pub(crate) api: Api<K>,
    /// Parameters of lists.
    pub(crate) list: ListParams,
    /// Parameters of watches.
    pub(crate) watch: WatchParams,
    /// Makes something of each object.
    pub(crate) read: F,
    /// Takes what is said.
    pub(crate) changes: mpsc::Sender<(Number, Change<T>)>,
    /// Where to wait for a server that is away.
    pub(crate) reach: Reach,
    /// Takes how it goes.
    pub(crate) health: Health,
    /// Tells that a kind which was not there may be there now.
    pub(crate) again: Arc<Notify>,
}

/// Why a round ended.
enum Ended {
    /// Nobody listens.
    Unheard,
    /// The server's last version is no longer known to it: list again.
    Gone,
    /// Something went wrong.
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(status) if status.code == 410 => Self::Gone,
            error => Self::Failed(error),
        }
    }
}

impl<K, T, F> Follower<K, T, F>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    F: Fn(K) -> T,
{
    /// Runs until nobody listens.
    pub(crate) async fn run(self) {
        // None when the next round begins with a list.
        let mut version = None;
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let ended = self.round(&mut version).await;
            if began.elapsed() > LONGEST_PAUSE {
                failures = 0;
            }
            match ended {
                Ok(()) if began.elapsed() < WATCH_LEAST => sleep(jittered(WATCH_LEAST)).await,
                Ok(()) => {}
                Err(Ended::Unheard) => return,
                Err(Ended::Gone) => {
                    version = None;
                    pause(failures).await;
                    failures += 1;
                }
                Err(Ended::Failed(error)) => {
                    if !self.recover(error, &mut version, failures).await {
                        return;
                    }
                    failures += 1;
                }
            }
        }
    }

    /// Lists unless it is known from where to watch, then watches to the end.
    async fn round(&self, version: &mut Option<String>) -> Result<(), Ended> {
        if version.is_none() {
            let (listed, at) = self.all().await?;
            self.health.listed(&self.name);
            self.say(Change::Listed(listed)).await?;
            *version = Some(at);
        }
        let from = version.clone().unwrap_or_default();
        let params = self.watch.clone().timeout(WATCH_SECONDS);
        let mut events = pin!(self.api.watch(&params, &from).await?);
        self.health.well(&self.name);
        while let Ok(Some(event)) = timeout(WATCH_PATIENCE, events.next()).await {
            // After what could not be read only a list can tell how things are.
            let event = event.inspect_err(|error| {
                if is_answer(error) {
                    *version = None;
                }
            })?;
            let (change, at) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let at = object.resource_version();
                    (Some(Change::Applied((self.read)(object))), at)
                }
                WatchEvent::Deleted(object) => {
                    let at = object.resource_version();
                    (Some(Change::Deleted((self.read)(object))), at)
                }
                WatchEvent::Bookmark(bookmark) => (None, Some(bookmark.metadata.resource_version)),
                WatchEvent::Error(status) => {
                    *version = None;
                    return Err(Error::Api(status).into());
                }
            };
            if let Some(change) = change {
                self.say(change).await?;
            }
            *version = at;
        }
        Ok(())
    }

    /// All objects, page by page, and the version from which to watch.
    async fn all(&self) -> Result<(Vec<T>, String), Ended> {
        let mut all = Vec::new();
        let mut params = self.list.clone();
        loop {
            let page = self.api.list(&params).await?;
            all.extend(page.items.into_iter().map(&self.read));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
            }
        }
    }

    /// Waits until another try makes sense; false if nobody listens.
    async fn recover(&self, error: Error, version: &mut Option<String>, failures: u32) -> bool {
        match &error {
            Error::Api(status) if status.code == 404 => {
                *version = None;
                self.health.listed(&self.name);
                self.health.well(&self.name);
                if self.say(Change::Absent).await.is_err() {
                    return false;
                }
                // Either way there is a reason to look again.
                let _ = timeout(jittered(ABSENT_PAUSE), self.again.notified()).await;
                return true;
            }
            error if is_refusal(error) && failures < REFUSALS => {
                tracing::debug!(kind = self.name, error = told(error), "refused for now");
            }
            error if is_answer(error) => self.health.failed(&self.name, &told(error)),
            error => {
                tracing::debug!(kind = self.name, error = chain(error), "the API server was lost");
                self.reach.regained().await;
            }
        }
        pause(failures).await;
        true
    }

    async fn say(&self, change: Change<T>) -> Result<(), Ended> {
        self.changes.send((self.number, change)).await.map_err(|_| Ended::Unheard)
    }
}

/// Waits longer the more often in a row it failed.
async fn pause(failures: u32) {
    sleep(jittered(LONGEST_PAUSE.min(PAUSE * 2_u32.saturating_pow(failures.min(10))))).await;
}

/// Whether the server asks to be left alone for a while: 503 while it starts, 429 when it has too much to do.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Api(status) if matches!(status.code, 429 | 503))
}

/// Whether the server said this, so that it is there.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Api(_) | Error::SerdeError(_))
}

/// An error in the server's own words.
fn told(error: &Error) -> String {
    match error {
        // What kube makes of a line that is neither an event nor a status.
        Error::Api(status) if status.code == 0 => "an event that cannot be read".to_owned(),
        Error::Api(status) => format!("{} {}: {}", status.code, status.reason, status.message),
        error => chain(error),
    }
}
