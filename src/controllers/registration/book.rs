//! Who is connected to this replica, and what is to be written about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::workload::{Key, Workload};

/// What a proxy told of its workload, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) health: Result<(), String>,
    pub(super) at: Timestamp,
}

/// A workload whose last stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// When it had connected.
    pub(super) since: Timestamp,
    /// When it went.
    pub(super) at: Timestamp,
    /// Whether its entry was made for it.
    pub(super) made: bool,
}

/// Workloads by the names of their entries.
#[derive(Debug, Default)]
pub(super) struct Book {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    present: BTreeMap<Key, Attending>,
    changed: BTreeSet<Key>,
}

#[derive(Debug)]
struct Attending {
    workload: Arc<Workload>,
    streams: usize,
    since: Timestamp,
    /// What is to be written of its health.
    told: Option<Told>,
    /// What was told last.
    last: Option<Told>,
    /// The entry told something else while that was still to be written: before the write or after it.
    doubted: bool,
    left: Option<Left>,
    /// Its group came after it.
    again: bool,
}

impl Book {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, key: &Key, change: impl FnOnce(&mut Attending)) {
        let mut state = self.state();
        let Some(attending) = state.present.get_mut(key) else { return };
        change(attending);
        state.changed.insert(key.clone());
        drop(state);
        self.changed.notify_one();
    }

    /// A stream of a workload begins.
    pub(super) fn come(&self, workload: &Arc<Workload>, at: Timestamp) {
        let mut state = self.state();
        let attending = state.present.entry(workload.key()).or_insert_with(|| Attending {
            workload: Arc::clone(workload),
            streams: 0,
            since: at,
            told: None,
            last: None,
            doubted: false,
            left: None,
            again: false,
        });
        attending.workload = Arc::clone(workload);
        attending.streams += 1;
        (attending.since, attending.left) = (at, None);
    }

    /// A stream of a workload ends.
    pub(super) fn go(&self, key: &Key, at: Timestamp) {
        self.change(key, |attending| {
            attending.streams = attending.streams.saturating_sub(1);
            if attending.streams == 0 {
                let made = attending.workload.group.is_some();
                attending.left = Some(Left { since: attending.since, at, made });
            }
        });
    }

    /// A stream that began was refused: it leaves nothing.
    pub(super) fn retract(&self, key: &Key) {
        let mut state = self.state();
        if let Some(attending) = state.present.get_mut(key) {
            attending.streams = attending.streams.saturating_sub(1);
            if attending.streams == 0 && attending.left.is_none() {
                state.present.remove(key);
            }
        }
    }

    /// A workload's health was told.
    pub(super) fn tell(&self, key: &Key, health: Result<(), String>, at: Timestamp) {
        self.change(key, |attending| {
            attending.last = Some(Told { health, at });
            attending.told.clone_from(&attending.last);
        });
    }

    /// The health that an entry tells now is `healthy`, or nothing: if that is not what was told last, whoever else writes
    /// conditions did not know of it.
    pub(super) fn heard(&self, key: &Key, healthy: Option<bool>) {
        let mut state = self.state();
        let Some(attending) = state.present.get_mut(key) else { return };
        let last = attending.last.as_ref().map(|told| told.health.is_ok());
        if attending.streams == 0 || last.is_none() || last == healthy {
            return;
        }
        attending.doubted = attending.told.is_some();
        attending.told.clone_from(&attending.last);
        state.changed.insert(key.clone());
        drop(state);
        self.changed.notify_one();
    }

    /// A group came: who is connected because of it is to be registered again.
    pub(super) fn again(&self, namespace: &str, group: &str) {
        let concerned: Vec<Key> = {
            let state = self.state();
            let of_group = |(key, attending): &(&Key, &Attending)| {
                *key.0 == *namespace
                    && attending.streams > 0
                    && attending.workload.group.as_deref() == Some(group)
            };
            state.present.iter().filter(of_group).map(|(key, _)| key.clone()).collect()
        };
        concerned.iter().for_each(|key| self.change(key, |attending| attending.again = true));
    }

    /// Those of which something is to be written; waits until there are any.
    pub(super) async fn changed(&self) -> BTreeSet<Key> {
        loop {
            let changed = std::mem::take(&mut self.state().changed);
            if !changed.is_empty() {
                return changed;
            }
            self.changed.notified().await;
        }
    }

    /// A workload that is to be registered again, with the time when it connected; it is taken.
    pub(super) fn take_again(&self, key: &Key) -> Option<(Arc<Workload>, Timestamp)> {
        let mut state = self.state();
        let attending = state.present.get_mut(key)?;
        std::mem::take(&mut attending.again).then(|| (Arc::clone(&attending.workload), attending.since))
    }

    /// The health that is to be written.
    pub(super) fn told(&self, key: &Key) -> Option<Told> {
        self.state().present.get(key)?.told.clone()
    }

    /// The end that is to be written.
    pub(super) fn left(&self, key: &Key) -> Option<Left> {
        self.state().present.get(key)?.left.clone()
    }

    /// Health was written. What was heard meanwhile may be what somebody wrote over it: then it is looked at once more.
    pub(super) fn wrote_health(&self, key: &Key, told: &Told) {
        if let Some(attending) = self.state().present.get_mut(key)
            && !std::mem::take(&mut attending.doubted)
        {
            attending.told.take_if(|now| now == told);
        }
    }

    /// An end was written, or is none any more.
    pub(super) fn wrote_end(&self, key: &Key, left: &Left) {
        let mut state = self.state();
        if let Some(attending) = state.present.get_mut(key) {
            attending.left.take_if(|now| now == left);
            if attending.streams == 0 && attending.left.is_none() {
                state.present.remove(key);
            }
        }
    }
}
