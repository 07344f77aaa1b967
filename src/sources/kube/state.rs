//! What is known of each scope, and what differs since the last batch. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ObjectKey;
use api::decode::AnyObject;

use super::follow::Change;
use super::reading::Reading;
use crate::event::{Batch, Event};
use crate::report::Report;

#[cfg(test)]
mod tests;

/// Names one watch of a scope: a later watch of the same scope has another number, so that what an ended one still
/// says is told from what its successor says.
pub(crate) type Number = u64;

/// Everything that is known, and what has not been told yet.
#[derive(Debug)]
pub(crate) struct State {
    scopes: BTreeMap<Number, Known>,
    /// Whether it is not known yet which scopes there are.
    open: bool,
    complete: bool,
    events: BTreeMap<ObjectKey, Option<Arc<AnyObject>>>,
    appeared: BTreeSet<Arc<Report>>,
    cleared: BTreeSet<Arc<Report>>,
}

/// What is known of one scope.
#[derive(Debug, Default)]
struct Known {
    listed: bool,
    objects: BTreeMap<ObjectKey, Told>,
}

/// What was told of one object.
#[derive(Debug)]
struct Told {
    /// The hash of its content; none if it is left out.
    digest: Option<u128>,
    reports: Vec<Arc<Report>>,
}

impl State {
    /// Nothing known; `open` until [`State::close`] says that all scopes of the start are there.
    pub(crate) fn new(open: bool) -> Self {
        Self {
            scopes: BTreeMap::new(),
            open,
            complete: false,
            events: BTreeMap::new(),
            appeared: BTreeSet::new(),
            cleared: BTreeSet::new(),
        }
    }

    /// All scopes that the first batch waits for have been added.
    pub(crate) fn close(&mut self) {
        self.open = false;
    }

    /// A scope is followed from now on. While nothing has been sent, the first batch waits for it.
    pub(crate) fn add(&mut self, number: Number) {
        self.scopes.insert(number, Known::default());
    }

    /// A scope is no longer followed: its objects are gone.
    pub(crate) fn remove(&mut self, number: Number) {
        let known = self.scopes.remove(&number).unwrap_or_default();
        for (key, told) in known.objects {
            self.gone(key, told);
        }
    }

    /// Takes what the watch of a scope says. What one says that was removed is dropped.
    pub(crate) fn take(&mut self, number: Number, change: Change<Reading>) {
        let Some(mut known) = self.scopes.remove(&number) else { return };
        match change {
            Change::Listed(readings) => {
                known.listed = true;
                let mut old = std::mem::take(&mut known.objects);
                for reading in readings {
                    let before = old.remove(&reading.key);
                    self.put(&mut known, before, reading);
                }
                for (key, told) in old {
                    self.gone(key, told);
                }
            }
            Change::Applied(reading) => {
                let before = known.objects.remove(&reading.key);
                self.put(&mut known, before, reading);
            }
            Change::Deleted(reading) => {
                if let Some(told) = known.objects.remove(&reading.key) {
                    self.gone(reading.key, told);
                }
            }
            Change::Absent => known.listed = true,
        }
        self.scopes.insert(number, known);
    }

    fn put(&mut self, known: &mut Known, before: Option<Told>, reading: Reading) {
        let digest = reading.digest();
        let old = before.as_ref().and_then(|told| told.digest);
        if digest != old {
            self.events.insert(reading.key.clone(), reading.object);
        }
        let before = before.map_or_else(Vec::new, |told| told.reports);
        if before != reading.reports {
            self.clear(before);
            for report in &reading.reports {
                if !self.cleared.remove(report) {
                    self.appeared.insert(report.clone());
                }
            }
        }
        known.objects.insert(reading.key, Told { digest, reports: reading.reports });
    }

    fn gone(&mut self, key: ObjectKey, told: Told) {
        self.clear(told.reports);
        if told.digest.is_some() {
            self.events.insert(key, None);
        }
    }

    fn clear(&mut self, reports: Vec<Arc<Report>>) {
        for report in reports {
            if !self.appeared.remove(&report) {
                self.cleared.insert(report);
            }
        }
    }

    /// What differs since the last batch; none if nothing does, or while the first look is not complete.
    pub(crate) fn batch(&mut self) -> Option<Batch> {
        let first = !self.complete;
        if first && (self.open || self.scopes.values().any(|known| !known.listed)) {
            return None;
        }
        self.complete = true;
        // What came and went before anything was sent is nothing that a receiver knows.
        let events = std::mem::take(&mut self.events).into_iter().filter(|(_, o)| !first || o.is_some());
        let batch = Batch {
            cluster: None,
            complete: first,
            resolved: Vec::new(),
            keys: Vec::new(),
            accounts: Vec::new(),
            trusted: None,
            events: events.map(|(key, object)| Event { key, object }).collect(),
            appeared: std::mem::take(&mut self.appeared).into_iter().collect(),
            cleared: std::mem::take(&mut self.cleared).into_iter().collect(),
        };
        (!batch.is_empty()).then_some(batch)
    }
}
