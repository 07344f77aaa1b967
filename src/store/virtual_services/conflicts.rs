//! Hosts that several VirtualServices claim for sidecars, which apply one of them only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{Problem, Severity};
use model::Ref;
use model::mesh::VirtualServiceEntry;

use crate::tables::Id;

/// The VirtualServices that sidecars may apply to each host, oldest first.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<String, Vec<Ref<VirtualServiceEntry>>>);

impl Claims {
    /// Takes a change in. The VirtualServices that have a host in common with it come back.
    pub(super) fn exchange(
        &mut self,
        gone: &[Ref<VirtualServiceEntry>],
        came: &[Ref<VirtualServiceEntry>],
    ) -> BTreeSet<Id> {
        for entry in gone {
            for host in entry.claimed() {
                if let Some(claims) = self.0.get_mut(host) {
                    claims.retain(|other| other != entry);
                }
            }
        }
        for entry in came {
            for host in entry.claimed() {
                let claims = self.0.entry(host.clone()).or_default();
                let at = claims.partition_point(|other| other.config.by_age(&entry.config).is_lt());
                if claims.get(at) != Some(entry) {
                    claims.insert(at, entry.clone());
                }
            }
        }
        let mut concerned = BTreeSet::new();
        for host in gone.iter().chain(came).flat_map(|entry| entry.claimed()) {
            let claims = self.0.get(host).map(Vec::as_slice).unwrap_or_default();
            concerned.extend(claims.iter().map(|e| {
                let key = &e.config.source.key;
                (Arc::clone(&key.namespace), Arc::clone(&key.name))
            }));
            if claims.is_empty() {
                self.0.remove(host);
            }
        }
        concerned
    }

    /// Tells the owner of a VirtualService that no sidecar ever applies it to some host, because an older one has it
    /// for the same clients. One that is seen by others than the older one may be meant to take its place for these.
    pub(super) fn lost(&self, entry: &VirtualServiceEntry) -> Vec<Problem> {
        let same = |older: &&Ref<VirtualServiceEntry>| {
            older.export_to == entry.export_to && older.config.namespace() == entry.config.namespace()
        };
        let older = |host: &String| {
            let claims = self.0.get(host)?.iter();
            claims.take_while(|other| other.config != entry.config).find(same)
        };
        let lost = entry.claimed().enumerate().filter_map(|(at, host)| Some((at, host, older(host)?)));
        lost.map(|(at, host, older)| {
            let (message, hint) = older.wins(host);
            Problem {
                severity: Severity::Warning,
                object: entry.config.source.key.clone(),
                field: format!("spec.hosts[{at}]"),
                message,
                hint: hint.to_owned(),
            }
        })
        .collect()
    }
}
