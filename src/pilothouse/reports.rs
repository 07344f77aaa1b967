//! What is wrong with the configuration right now, for `/debug`; problems of objects are told in the log as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// What objects say that they must not, by object.
    forms: BTreeMap<ObjectKey, BTreeSet<Problem>>,
    /// What the store finds.
    objects: BTreeSet<Problem>,
    /// What is found on the way to the connected proxies.
    served: BTreeSet<Problem>,
}

/// Tells what has come and what has gone.
fn replace(old: &mut BTreeSet<Problem>, now: BTreeSet<Problem>) {
    for problem in now.difference(old) {
        tracing::warn!("{problem}");
    }
    for problem in old.difference(&now) {
        tracing::info!(%problem, "no longer");
    }
    *old = now;
}

impl Reports {
    /// Takes what a source found, which itself logs it, and looks at the objects one by one.
    pub fn take(&self, batch: &Batch) {
        let mut state = self.lock();
        for event in &batch.events {
            let now = event.object.as_deref().map(model::validate::validate).unwrap_or_default();
            let mut known = state.forms.remove(&event.key).unwrap_or_default();
            replace(&mut known, now.into_iter().collect());
            if !known.is_empty() {
                state.forms.insert(event.key.clone(), known);
            }
        }
        for report in &batch.cleared {
            state.files.remove(&report.to_string());
        }
        for report in &batch.appeared {
            state.files.insert(report.to_string());
        }
    }

    /// Takes all that the store finds wrong now.
    pub fn problems(&self, problems: &BTreeMap<ObjectKey, Vec<Problem>>) {
        let now = problems.values().flatten().cloned().collect();
        replace(&mut self.lock().objects, now);
    }

    /// Takes all that is wrong now with what the connected proxies are sent.
    pub fn served(&self, now: BTreeSet<Problem>) {
        replace(&mut self.lock().served, now);
    }

    /// Everything that is wrong now, a line each.
    pub fn lines(&self) -> Vec<String> {
        let state = self.lock();
        let forms = state.forms.values().flatten();
        let objects: BTreeSet<&Problem> = forms.chain(&state.objects).chain(&state.served).collect();
        state.files.iter().cloned().chain(objects.into_iter().map(Problem::to_string)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
