//! One incremental SDS stream, as a value: requests and tables in, responses out. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};

use super::SECRET_TYPE;
use super::sotw::{Refusal, version};
use super::store::Table;

/// What the client wants, with the version that it holds of each, and the responses that it has not answered.
#[derive(Debug, Default)]
pub(super) struct Delta {
    names: BTreeMap<String, Option<String>>,
    unanswered: BTreeMap<u64, Vec<String>>,
    nonce: u64,
}

impl Delta {
    /// Takes a request: changes of the subscription, an ACK or a NACK, or both at once.
    pub(super) fn on_request(&mut self, request: DeltaDiscoveryRequest) -> Option<Refusal> {
        for name in &request.resource_names_unsubscribe {
            self.names.remove(name);
        }
        for name in request.resource_names_subscribe {
            // Subscribing again means that the client has lost it; a new stream says what it still has.
            let held = request.initial_resource_versions.get(&name).cloned();
            self.names.insert(name, held);
        }
        let nonce: u64 = request.response_nonce.parse().ok()?;
        let secrets = self.unanswered.remove(&nonce)?;
        // Responses are answered in order: what is older will not be answered any more.
        self.unanswered = self.unanswered.split_off(&nonce);
        request.error_detail.map(|error| Refusal { secrets, message: error.message })
    }

    /// The names that the client wants now.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.names.keys().cloned().collect()
    }

    /// The response that is due against `table`, if any: the wanted secrets whose version the client has not been sent.
    /// A secret that is gone is not named as removed: Envoy would keep it and forget that it has it.
    pub(super) fn respond(&mut self, table: &Table) -> Option<DeltaDiscoveryResponse> {
        let mut resources = Vec::new();
        for (name, held) in &mut self.names {
            let Some(entry) = table.get(name).filter(|entry| held.as_ref() != Some(&entry.version)) else {
                continue;
            };
            *held = Some(entry.version.clone());
            resources.push(Resource {
                name: name.clone(),
                version: entry.version.clone(),
                resource: Some(entry.body.clone()),
                ..Default::default()
            });
        }
        if resources.is_empty() {
            return None;
        }
        self.nonce += 1;
        self.unanswered.insert(self.nonce, resources.iter().map(|r| r.name.clone()).collect());
        let held = self.names.iter().filter_map(|(name, held)| Some((name.clone(), held.clone()?)));
        Some(DeltaDiscoveryResponse {
            system_version_info: version(&held.collect()),
            resources,
            type_url: SECRET_TYPE.to_owned(),
            nonce: self.nonce.to_string(),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests;
