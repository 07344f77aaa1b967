//! One state-of-the-world SDS stream, as a value: requests and tables in, responses out. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};

use super::SECRET_TYPE;
use super::store::{Table, hash};

/// A client refused a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    /// The secrets that the response held.
    pub(super) secrets: Vec<String>,
    /// The client's words.
    pub(super) message: String,
}

/// What the client wants and what it was sent.
#[derive(Debug, Default)]
pub(super) struct Sotw {
    names: BTreeSet<String>,
    sent: BTreeMap<String, String>,
    nonce: u64,
    answer_due: bool,
}

impl Sotw {
    /// Takes a request: a subscription, an ACK or a NACK. Nothing is sent again because of a NACK; the next content is.
    pub(super) fn on_request(&mut self, request: DiscoveryRequest) -> Option<Refusal> {
        // A nonce of an earlier response: the client has not seen the latest yet and will ask again with that one.
        if self.nonce > 0
            && !request.response_nonce.is_empty()
            && request.response_nonce != self.nonce.to_string()
        {
            return None;
        }
        let refusal = request
            .error_detail
            .map(|error| Refusal { secrets: self.sent.keys().cloned().collect(), message: error.message });
        let names: BTreeSet<String> = request.resource_names.into_iter().collect();
        self.answer_due |= !names.is_subset(&self.names);
        self.sent.retain(|name, _| names.contains(name));
        self.names = names;
        refusal
    }

    /// The names that the client wants now.
    pub(super) const fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// The response that is due against `table`, if any: all wanted secrets that exist.
    pub(super) fn respond(&mut self, table: &Table) -> Option<DiscoveryResponse> {
        let available: Vec<_> = self.names.iter().filter_map(|name| table.get_key_value(name)).collect();
        let news = available.iter().any(|(name, entry)| self.sent.get(*name) != Some(&entry.version));
        if available.is_empty() || !(news || self.answer_due) {
            return None;
        }
        self.answer_due = false;
        self.nonce += 1;
        self.sent = available.iter().map(|(name, entry)| ((*name).clone(), entry.version.clone())).collect();
        Some(DiscoveryResponse {
            version_info: version(&self.sent),
            resources: available.into_iter().map(|(_, entry)| entry.body.clone()).collect(),
            type_url: SECRET_TYPE.to_owned(),
            nonce: self.nonce.to_string(),
            ..Default::default()
        })
    }
}

/// Version of a set: hash over its names and versions.
pub(super) fn version(sent: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = sent.iter().map(|(name, version)| format!("{name}\n{version}\n")).collect();
    hash(lines.concat().as_bytes())
}

#[cfg(test)]
mod tests;
