//! What is wrong with the configuration right now, for `/debug` and for the objects' status; problems of objects are told in
//! the log as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{AnyObject, Condition, Kind, ObjectKey, Problem, Severity};
use sources::event::Batch;
use sources::report::Report;

/// The current problems of files and of objects.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What sources find in documents.
    documents: BTreeSet<Arc<Report>>,
    /// What objects say that they must not, by object.
    forms: BTreeMap<ObjectKey, BTreeSet<Problem>>,
    /// What the store finds.
    objects: BTreeSet<Problem>,
    /// What objects make together.
    together: BTreeSet<Problem>,
    /// What is found on the way to the connected proxies.
    served: BTreeSet<Problem>,
    /// The namespaces of which is told; `None` for all.
    discovered: Option<BTreeSet<Arc<str>>>,
    /// The objects that have a status.
    subjects: BTreeMap<ObjectKey, Subject>,
    /// Counts changes of all the above.
    revision: u64,
}

/// An object that has a status, as its source last told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Counts changes of its specification.
    pub(crate) generation: i64,
    /// Its identity.
    pub(crate) uid: String,
    /// What its status says.
    pub(crate) conditions: Box<[Condition]>,
}

/// What is wrong with one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// What it must not say.
    pub(crate) invalid: Vec<Problem>,
    /// What cannot be served of it.
    pub(crate) unserved: Vec<Problem>,
    /// What is in effect, but perhaps not as meant.
    pub(crate) warnings: Vec<Problem>,
}

/// Whether objects of a kind have the status that Istio's kinds have in common.
pub(crate) fn has_status(kind: Kind) -> bool {
    kind.group().ends_with(".istio.io")
}

/// Tells what has come and what has gone; whether that is anything.
fn replace(old: &mut BTreeSet<Problem>, now: BTreeSet<Problem>) -> bool {
    for problem in now.difference(old) {
        tracing::warn!("{problem}");
    }
    for problem in old.difference(&now) {
        tracing::info!(%problem, "no longer");
    }
    let changed = *old != now;
    *old = now;
    changed
}

impl Reports {
    /// Takes what a source found, which itself logs it, and looks at the objects one by one. Those of other clusters are
    /// not looked at: they bear the names of objects of this one, and have their status elsewhere; nor are those for
    /// which `counts` is false, which are another revision's.
    pub(crate) fn take(&self, batch: &Batch, counts: impl Fn(&AnyObject) -> bool) {
        let mut state = self.lock();
        state.revision += 1;
        for event in batch.events.iter().filter(|_| batch.cluster.is_none()) {
            let object = event.object.as_deref().filter(|object| counts(object));
            let now = object.map(model::validate::validate).unwrap_or_default();
            let mut known = state.forms.remove(&event.key).unwrap_or_default();
            replace(&mut known, now.into_iter().collect());
            if !known.is_empty() {
                state.forms.insert(event.key.clone(), known);
            }
            match object.filter(|_| has_status(event.key.kind)) {
                None => drop(state.subjects.remove(&event.key)),
                Some(object) => {
                    let meta = object.meta();
                    let subject = Subject {
                        generation: meta.generation,
                        uid: meta.uid.clone(),
                        conditions: meta.conditions.clone(),
                    };
                    state.subjects.insert(event.key.clone(), subject);
                }
            }
        }
        for report in &batch.cleared {
            state.documents.remove(report);
        }
        state.documents.extend(batch.appeared.iter().cloned());
    }

    /// Takes all that the store finds wrong now, and the namespaces whose objects count, `None` for all: of others nothing
    /// is told, another control plane may serve them.
    pub(crate) fn problems(
        &self,
        problems: &BTreeMap<ObjectKey, Vec<Problem>>,
        discovered: Option<&BTreeSet<Arc<str>>>,
    ) {
        let now = problems.values().flatten().cloned().collect();
        let state = &mut *self.lock();
        let moved = state.discovered.as_ref() != discovered;
        state.discovered = discovered.cloned();
        state.revision += u64::from(replace(&mut state.objects, now) || moved);
    }

    /// Takes all that objects make together now.
    pub(crate) fn analyzed(&self, found: BTreeMap<ObjectKey, Vec<Problem>>) {
        let now = found.into_values().flatten().collect();
        let state = &mut *self.lock();
        state.revision += u64::from(replace(&mut state.together, now));
    }

    /// Takes all that is wrong now with what the connected proxies are sent, but for what is told already of the field.
    pub(crate) fn served(&self, mut now: BTreeSet<Problem>) {
        let state = &mut *self.lock();
        now.retain(|problem| {
            let about = |known: &&Problem| known.object == problem.object && known.field == problem.field;
            !state.together.iter().any(|known| about(&known))
        });
        state.revision += u64::from(replace(&mut state.served, now));
    }

    /// Everything that is wrong now, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let state = self.lock();
        let objects: BTreeSet<&Problem> = state.of_objects().map(|(_, problem)| problem).collect();
        let told =
            state.documents.iter().filter(|report| report.object.as_ref().is_none_or(|key| state.tells(key)));
        let documents: BTreeSet<String> = told.map(|report| report.to_string()).collect();
        documents.into_iter().chain(objects.into_iter().map(Problem::to_string)).collect()
    }

    /// Counts changes of what is wrong, and of the objects.
    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// The objects that have a status, and what is wrong with each.
    pub(crate) fn findings(&self) -> BTreeMap<ObjectKey, (Subject, Findings)> {
        let state = self.lock();
        let of =
            |(key, subject): (&ObjectKey, &Subject)| (key.clone(), (subject.clone(), Findings::default()));
        let mut all: BTreeMap<_, _> =
            state.subjects.iter().filter(|(key, _)| state.tells(key)).map(of).collect();
        let documents = state.documents.iter().filter_map(|report| {
            let object = report.object.clone()?;
            let Report { severity, field, message, hint, .. } = (**report).clone();
            Some((true, Problem { severity, object, field, message, hint }))
        });
        let objects = state.of_objects().map(|(form, problem)| (form, problem.clone()));
        for (form, problem) in documents.chain(objects) {
            let Some((_, findings)) = all.get_mut(&problem.object) else { continue };
            let list = match (problem.severity, form) {
                (Severity::Warning, _) => &mut findings.warnings,
                (Severity::Error, true) => &mut findings.invalid,
                (Severity::Error, false) => &mut findings.unserved,
            };
            list.push(problem);
        }
        for (_, findings) in all.values_mut() {
            for list in [&mut findings.invalid, &mut findings.unserved, &mut findings.warnings] {
                list.sort();
                list.dedup();
            }
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is wrong with objects; with it whether it is something that the object must not say.
    fn of_objects(&self) -> impl Iterator<Item = (bool, &Problem)> {
        let forms = self.forms.values().flatten().map(|problem| (true, problem));
        let others = self.objects.iter().chain(&self.together).chain(&self.served);
        let all = forms.chain(others.map(|problem| (false, problem)));
        all.filter(|(_, problem)| self.tells(&problem.object))
    }

    /// Whether anything is told of an object.
    fn tells(&self, key: &ObjectKey) -> bool {
        let counts = |names: &BTreeSet<Arc<str>>| key.namespace.is_empty() || names.contains(&key.namespace);
        self.discovered.as_ref().is_none_or(counts)
    }
}

#[cfg(test)]
mod tests;
