//! What a stream was sent, acknowledged and refused, as plain data for `/debug`.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::ledger::Sent;
use super::message::Variant;
use super::stream::Stream;
use super::watch::Watch;
use crate::kind::ResourceType;

/// A response on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentState {
    /// Its nonce.
    pub nonce: String,
    /// The hash of what it held.
    pub version: String,
    /// When it was made, since the start of the caller's clock.
    pub at: Duration,
}

/// The state of one type on a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WatchStatus {
    /// The type.
    #[serde(serialize_with = "type_url")]
    pub kind: ResourceType,
    /// Whether everything is wanted.
    pub wildcard: bool,
    /// How many names are wanted expressly.
    pub subscribed: usize,
    /// How many names the client is behind with.
    pub owed: usize,
    /// The latest response.
    pub sent: Option<SentState>,
    /// The latest response that was accepted.
    pub acked: Option<SentState>,
    /// The client's words about the latest response that it refused, while no accepted one followed.
    pub last_error: Option<String>,
    /// When that refusal came.
    pub error_at: Option<Duration>,
    /// Resources that those words blame; empty if Envoy names none.
    pub rejected: Vec<String>,
    /// What is waited for, if something is held back.
    pub waiting: Vec<&'static str>,
}

fn type_url<S: serde::Serializer>(kind: &ResourceType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.type_url())
}

/// The state of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// Whether it is a delta stream.
    pub delta: bool,
    /// Its types, in push order.
    pub watches: Vec<WatchStatus>,
}

/// Where a client stands with one type, by name. Everything in its set that is not named here it has accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It was sent nothing that it accepted, so all names are behind.
    pub nothing: bool,
    /// Names that were not sent, or not answered. Some may come twice.
    pub behind: Vec<Arc<str>>,
    /// Names that it refused, ascending, and in which words.
    pub refused: Option<(Vec<Arc<str>>, String)>,
}

impl Stream {
    /// Where the client stands with a type; `None` if it does not ask for the type.
    pub fn standing(&self, kind: ResourceType) -> Option<Standing> {
        let watch = self.watched(kind)?;
        let ledger = &watch.ledger;
        let unanswered = ledger.unanswered_names().cloned();
        Some(Standing {
            nothing: watch.base.is_none(),
            behind: watch.owed.keys().cloned().chain(unanswered).collect(),
            refused: ledger
                .rejection()
                .map(|(_, rejection)| (ledger.refused().to_vec(), rejection.message.clone())),
        })
    }

    /// The state of the stream, without the names.
    pub fn status(&self) -> StreamStatus {
        let watches = ResourceType::ALL.into_iter();
        let watches =
            watches.filter_map(|kind| self.watched(kind).map(|watch| self.watch_status(kind, watch)));
        StreamStatus { delta: self.variant == Variant::Delta, watches: watches.collect() }
    }

    /// The names that the client wants of a type: those that it said or, with a wildcard, those in its set.
    pub fn watched_names(&self, kind: ResourceType) -> Vec<Arc<str>> {
        let Some(watch) = self.watched(kind) else { return Vec::new() };
        let mut names = watch.subscription.names().to_vec();
        if watch.subscription.is_wildcard() {
            names.extend(self.sets.get(kind).iter().map(|resource| Arc::clone(resource.name())));
            names.sort_unstable();
            names.dedup();
        }
        names
    }

    fn watch_status(&self, kind: ResourceType, watch: &Watch) -> WatchStatus {
        let rejection = watch.ledger.rejection();
        let waiting = self.waiting.iter().filter(|((waiting, _), _)| *waiting == kind);
        WatchStatus {
            kind,
            wildcard: watch.subscription.is_wildcard(),
            subscribed: watch.subscription.names().len(),
            owed: watch.owed.len(),
            sent: watch.ledger.sent().map(|sent| self.sent_state(sent)),
            acked: watch.ledger.acked().map(|sent| self.sent_state(sent)),
            last_error: rejection.map(|(_, rejection)| rejection.message.clone()),
            error_at: rejection.map(|(at, _)| *at),
            rejected: rejection.map(|(_, rejection)| rejection.names()).unwrap_or_default(),
            waiting: waiting.map(|(_, name)| *name).collect(),
        }
    }

    fn sent_state(&self, sent: &Sent) -> SentState {
        SentState { nonce: self.nonce_text(sent.nonce), version: sent.version.clone(), at: sent.at }
    }
}
