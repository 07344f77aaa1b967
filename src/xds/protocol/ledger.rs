//! Nonces of one type: what was sent, and what the client said to it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::encoded::Encoded;

/// A client's rejection of a response: the gRPC code and Envoy's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// gRPC status code; Envoy sends 13 (internal).
    pub code: i32,
    /// What was wrong.
    pub message: String,
}

impl Rejection {
    /// The names of the clusters or listeners that the words blame; the other resources of such a response were
    /// applied. Empty where Envoy names nobody (spec/stock-envoy.md 3.4).
    pub fn names(&self) -> Vec<String> {
        if let Some(list) = after(&self.message, "cluster(s) ") {
            // A reason may hold a comma and a space too, but what stands before its first `: ` then has a space.
            return list.split(", ").filter_map(blamed).collect();
        }
        let lines = after(&self.message, "listener(s) ").map(str::lines);
        lines.into_iter().flatten().filter_map(blamed).collect()
    }
}

fn after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn blamed(part: &str) -> Option<String> {
    let (name, _) = part.split_once(": ")?;
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| name.to_owned())
}

/// The number of a change of the sets on a stream; 0 is what the stream began with.
pub(super) type Epoch = u64;

/// What one response held, as far as the order of later ones depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The earliest change of which it brings new or changed resources.
    pub(super) changes: Option<Epoch>,
    /// The earliest change of which it brings removals.
    pub(super) removals: Option<Epoch>,
    /// Whether it holds nothing but what the client asked for or refused together with something bad: that it is
    /// accepted says nothing of what was bad.
    pub(super) repeats: bool,
}

impl Content {
    /// The earlier of both.
    pub(super) fn earliest(self) -> Option<Epoch> {
        earlier(self.changes, self.removals)
    }

    fn join(self, other: Self) -> Self {
        Self {
            changes: earlier(self.changes, other.changes),
            removals: earlier(self.removals, other.removals),
            repeats: self.repeats && other.repeats,
        }
    }
}

/// The smaller of two numbers of which either may be missing.
pub(super) fn earlier(a: Option<Epoch>, b: Option<Epoch>) -> Option<Epoch> {
    a.into_iter().chain(b).min()
}

fn joined(contents: impl Iterator<Item = Content>) -> Content {
    contents.reduce(Content::join).unwrap_or_default()
}

/// What a request says about an earlier response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It accepts the latest response, or an earlier one that was not answered yet.
    Ack,
    /// It refuses one.
    Nack,
    /// It names the latest response once more, to say something else.
    Again,
    /// It speaks of an earlier response that is answered already, or of one that this stream never sent.
    Stale,
}

/// A response on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) nonce: u64,
    pub(super) version: String,
    pub(super) at: Duration,
}

/// A response that was not answered yet.
struct Unanswered {
    sent: Sent,
    content: Content,
    /// The names of the resources in it.
    names: Vec<Arc<str>>,
}

/// More unanswered responses than this are joined: a client that never answers costs no more.
const OUTSTANDING: usize = 32;

/// The resources of more unanswered responses than this are kept in one list.
const KEPT: usize = 4;

/// What is in a response.
struct Kept {
    nonce: u64,
    resources: Vec<Arc<Encoded>>,
    removed: Vec<Arc<str>>,
}

/// The responses of one type.
#[derive(Default)]
pub(super) struct Ledger {
    sent: Option<Sent>,
    acked: Option<Sent>,
    outstanding: VecDeque<Unanswered>,
    /// What is in unanswered responses, of types of which Envoy applies the good part of a bad response.
    kept: VecDeque<Kept>,
    /// Names in refused responses of such types, until a response with them is accepted: the client may hold some form
    /// of them and does not say so when it comes back.
    unsaid: BTreeSet<Arc<str>>,
    rejection: Option<(Duration, Rejection)>,
    /// The names that the rejection is about: those that it blames, else all of what was refused.
    refused: Vec<Arc<str>>,
    /// The earliest change in a response that was rejected and not followed by an accepted one.
    rejected: Option<Epoch>,
    answered_at: Option<Duration>,
    /// The nonce that was answered last.
    answered: Option<u64>,
}

impl Ledger {
    /// Takes down a response with the names of the resources in it.
    pub(super) fn send(&mut self, sent: Sent, content: Content, names: Vec<Arc<str>>) {
        self.sent = Some(sent.clone());
        self.outstanding.push_back(Unanswered { sent, content, names });
        if self.outstanding.len() > OUTSTANDING
            && let Some(oldest) = self.outstanding.pop_front()
            && let Some(next) = self.outstanding.front_mut()
        {
            next.content = next.content.join(oldest.content);
            next.names.extend(oldest.names);
        }
    }

    /// Takes down what a request says about the response `nonce`; `None` is a nonce that is not this stream's.
    pub(super) fn reply(&mut self, nonce: Option<u64>, error: Option<Rejection>, now: Duration) -> Reply {
        let known = |n: u64| self.outstanding.iter().position(|unanswered| unanswered.sent.nonce == n);
        let Some(at) = nonce.and_then(known) else {
            if let Some(error) = error {
                self.refused.clear();
                self.rejection = Some((now, error));
                return Reply::Nack;
            }
            return if self.is_latest(nonce) { Reply::Again } else { Reply::Stale };
        };
        (self.answered_at, self.answered) = (Some(now), nonce);
        // Responses are answered in their order; an answer that skips some stands for them too.
        let answered: Vec<_> = self.outstanding.drain(..=at).collect();
        let content = joined(answered.iter().map(|unanswered| unanswered.content));
        if let Some(error) = error {
            self.refused = blamed_of(answered, &error);
            self.rejection = Some((now, error));
            self.rejected = earlier(self.rejected, content.earliest());
            return Reply::Nack;
        }
        self.acked = answered.into_iter().next_back().map(|unanswered| unanswered.sent);
        if !content.repeats {
            (self.rejected, self.rejection) = (None, None);
            self.refused = Vec::new();
        }
        Reply::Ack
    }

    /// Keeps what is in a response until it is answered.
    pub(super) fn keep(&mut self, nonce: u64, resources: Vec<Arc<Encoded>>, removed: Vec<Arc<str>>) {
        self.kept.push_back(Kept { nonce, resources, removed });
        if self.kept.len() > KEPT
            && let Some(mut oldest) = self.kept.pop_front()
            && let Some(next) = self.kept.front_mut()
        {
            next.resources.append(&mut oldest.resources);
            next.resources.sort_by(|a, b| a.name().cmp(b.name()));
            next.resources.dedup_by(|a, b| a.name() == b.name());
            next.removed.append(&mut oldest.removed);
            next.removed.sort_unstable();
            next.removed.dedup();
        }
    }

    /// The resources of the responses up to this one, now that it is answered.
    pub(super) fn take_kept(&mut self, nonce: Option<u64>, refused: bool) -> Vec<Arc<Encoded>> {
        let answered = self.kept.partition_point(|kept| nonce.is_some_and(|nonce| kept.nonce <= nonce));
        let kept: Vec<Kept> = self.kept.drain(..answered).collect();
        for kept in &kept {
            let names = kept.resources.iter().map(|resource| resource.name());
            if refused {
                self.unsaid.extend(names.cloned());
            } else {
                names.chain(&kept.removed).for_each(|name| drop(self.unsaid.take(name)));
            }
        }
        kept.into_iter().flat_map(|kept| kept.resources).collect()
    }

    /// The names of which it is not known whether the client holds them: those in responses that are not answered, or
    /// that were refused.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = &Arc<str>> {
        let names = self
            .kept
            .iter()
            .flat_map(|kept| kept.resources.iter().map(|resource| resource.name()).chain(&kept.removed));
        names.chain(&self.unsaid)
    }

    /// Whether `nonce` is that of the latest response.
    pub(super) fn is_latest(&self, nonce: Option<u64>) -> bool {
        nonce.is_some() && self.sent.as_ref().map(|sent| sent.nonce) == nonce
    }

    /// Whether `nonce` is that of the response that was answered last.
    pub(super) fn is_answered(&self, nonce: Option<u64>) -> bool {
        nonce.is_some() && self.answered == nonce
    }

    /// What the responses that wait for their answer hold, taken together.
    pub(super) fn unanswered(&self) -> Content {
        joined(self.outstanding.iter().map(|unanswered| unanswered.content))
    }

    /// The names of the resources in responses that wait for their answer; some may come twice.
    pub(super) fn unanswered_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.outstanding.iter().flat_map(|unanswered| &unanswered.names)
    }

    /// The names that the latest rejection is about; empty if it spoke of a response that is not known.
    pub(super) fn refused(&self) -> &[Arc<str>] {
        &self.refused
    }

    /// The earliest change in responses that were rejected since the last accepted one.
    pub(super) const fn rejected(&self) -> Option<Epoch> {
        self.rejected
    }

    /// When the client last answered.
    pub(super) const fn answered_at(&self) -> Option<Duration> {
        self.answered_at
    }

    /// The latest response.
    pub(super) const fn sent(&self) -> Option<&Sent> {
        self.sent.as_ref()
    }

    /// The latest response that was accepted.
    pub(super) const fn acked(&self) -> Option<&Sent> {
        self.acked.as_ref()
    }

    /// The latest rejection that no acceptance followed, and when it came.
    pub(super) const fn rejection(&self) -> Option<&(Duration, Rejection)> {
        self.rejection.as_ref()
    }
}

/// The names in refused responses that the words blame; all of them if the words name nobody who was there.
fn blamed_of(refused: Vec<Unanswered>, error: &Rejection) -> Vec<Arc<str>> {
    let mut names: Vec<_> = refused.into_iter().flat_map(|unanswered| unanswered.names).collect();
    names.sort_unstable();
    names.dedup();
    let blamed = error.names();
    if names.iter().any(|name| blamed.iter().any(|blamed| **blamed == **name)) {
        names.retain(|name| blamed.iter().any(|blamed| **blamed == **name));
    }
    names
}

#[cfg(test)]
mod tests;
