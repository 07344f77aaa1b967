//! One type on the client's stream: what is asked for, held, and still to be said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ::envoy::google::rpc::Status;
use ::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

use super::envoy::{Kind, Request, Variant};

/// An answer that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) nonce: String,
    pub(super) error: Option<String>,
}

/// The client's half of one subscription.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscription {
    /// Whether it began on this stream.
    pub(super) begun: bool,
    /// Names that are wanted; none for wildcard types.
    pub(super) names: BTreeSet<String>,
    /// What the server was told to be wanted on this stream.
    told: BTreeSet<String>,
    /// Names to say again though they were told before.
    again: BTreeSet<String>,
    /// Delta: version by name. State of the world: not used.
    pub(super) versions: BTreeMap<String, String>,
    /// State of the world: the version last accepted, and the latest nonce.
    version: String,
    nonce: String,
    pub(super) answers: VecDeque<Answer>,
    /// State of the world: a request is due though there is no answer.
    pub(super) renew: bool,
    /// State of the world: requests that are due because names came or went: one for each, with the names of the moment
    /// in which it is written.
    due: u32,
}

impl Subscription {
    /// The stream is gone; what is held stays.
    pub(super) fn reset(&mut self) {
        self.begun = false;
        self.told.clear();
        self.again.clear();
        self.nonce.clear();
        self.answers.clear();
        self.renew = false;
        self.due = 0;
    }

    /// Sets the names that are wanted.
    pub(super) fn want(&mut self, names: BTreeSet<String>) {
        for gone in self.names.difference(&names) {
            self.versions.remove(gone);
        }
        // A name that went and came back is asked for again, also if the server never heard that it went.
        self.again.extend(names.difference(&self.names).filter(|name| self.told.contains(*name)).cloned());
        self.again.retain(|name| names.contains(name));
        self.due += u32::from(!self.names.is_subset(&names)) + u32::from(!names.is_subset(&self.names));
        self.names = names;
    }

    /// Notes an accepted response of the state of the world.
    pub(super) fn accept(&mut self, version: String) {
        self.version = version;
    }

    /// The next request, if there is something to say. `mute`: not now.
    pub(super) fn request(&mut self, kind: Kind, variant: Variant, mute: bool) -> Option<Request> {
        let wanted = kind.is_wildcard() || !self.names.is_empty();
        if mute || !self.begun && !wanted {
            return None;
        }
        match variant {
            Variant::Delta => self.delta(kind).map(Request::Delta),
            Variant::Sotw => self.sotw(kind).map(Request::Sotw),
        }
    }

    fn delta(&mut self, kind: Kind) -> Option<DeltaDiscoveryRequest> {
        let mut request =
            DeltaDiscoveryRequest { type_url: kind.type_url().to_owned(), ..Default::default() };
        if self.begun {
            let answer = self.answers.pop_front();
            let mut new: BTreeSet<_> = self.names.difference(&self.told).cloned().collect();
            new.append(&mut self.again);
            let gone: Vec<_> = self.told.difference(&self.names).cloned().collect();
            if answer.is_none() && new.is_empty() && gone.is_empty() {
                return None;
            }
            if let Some(answer) = answer {
                request.response_nonce = answer.nonce;
                request.error_detail = answer.error.map(status);
            }
            request.resource_names_subscribe = new.into_iter().collect();
            request.resource_names_unsubscribe = gone;
        } else {
            request.initial_resource_versions = self.versions.clone();
            request.resource_names_subscribe = self.names.iter().cloned().collect();
        }
        self.begun = true;
        self.told.clone_from(&self.names);
        Some(request)
    }

    fn sotw(&mut self, kind: Kind) -> Option<DiscoveryRequest> {
        let answer = self.answers.pop_front();
        let begins = !self.begun;
        if !begins && answer.is_none() && self.due == 0 && !self.renew {
            return None;
        }
        self.due = if begins { 0 } else { self.due.saturating_sub(u32::from(answer.is_none())) };
        (self.begun, self.renew) = (true, false);
        self.told.clone_from(&self.names);
        self.again.clear();
        let mut error = None;
        if let Some(answer) = answer {
            (self.nonce, error) = (answer.nonce, answer.error);
        }
        Some(DiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            version_info: self.version.clone(),
            resource_names: self.names.iter().cloned().collect(),
            response_nonce: self.nonce.clone(),
            error_detail: error.map(status),
            ..Default::default()
        })
    }
}

fn status(message: String) -> Status {
    Status { code: 13, message, details: Vec::new() }
}
