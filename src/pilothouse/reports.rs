//! What is wrong with the configuration right now, for `/debug`; problems of objects are told in the log as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use api::{ObjectKey, Problem};
use sources::event::Batch;

/// The current problems of files and of objects.
#[derive(Debug, Default)]
pub struct Reports {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeSet<String>,
    objects: BTreeSet<Problem>,
}

impl Reports {
    /// Takes what a source found; the source itself logs it.
    pub fn take(&self, batch: &Batch) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for report in &batch.cleared {
            state.files.remove(&report.to_string());
        }
        for report in &batch.appeared {
            state.files.insert(report.to_string());
        }
    }

    /// Takes all that the store finds wrong now.
    pub fn problems(&self, problems: &BTreeMap<ObjectKey, Vec<Problem>>) {
        let now: BTreeSet<Problem> = problems.values().flatten().cloned().collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in now.difference(&state.objects) {
            tracing::warn!("{problem}");
        }
        for problem in state.objects.difference(&now) {
            tracing::info!(%problem, "no longer");
        }
        state.objects = now;
    }

    /// Everything that is wrong now, a line each.
    pub fn lines(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.files.iter().cloned().chain(state.objects.iter().map(Problem::to_string)).collect()
    }
}
