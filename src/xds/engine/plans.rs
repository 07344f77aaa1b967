//! Making plans, and holding what refers to something that does not exist yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::Engine;
use super::classes::ClassState;
use crate::failure::{Failure, Stage, catch};
use crate::generate::Generate;

/// A plan, and since when something in it is held.
pub(super) struct Planned<G: Generate> {
    pub(super) plan: Arc<G::Plan>,
    pub(super) held_since: Option<Duration>,
}

impl<G: Generate> Planned<G> {
    /// A plan in which nothing is held.
    pub(super) fn new(plan: Arc<G::Plan>) -> Self {
        Self { plan, held_since: None }
    }
}

/// The plan of the class below, if there is one.
pub(super) type Below<'a, G> = Option<&'a Arc<<G as Generate>::Plan>>;

type Outcome<T> = Result<T, Arc<Failure>>;

impl<G: Generate> Engine<G> {
    /// Plans classes in parallel, those that others are planned upon first. Returns each with what came of it.
    pub(super) fn plan_in_order<C: Send + Sync, T: Send + Sync>(
        &self,
        classes: Vec<C>,
        class: impl Fn(&C) -> &G::Class,
        plan: impl Fn(&C, Below<'_, G>) -> Outcome<T> + Sync,
        made: impl Fn(&T) -> &Arc<G::Plan>,
    ) -> Vec<(C, Outcome<T>)> {
        let named = classes.into_iter().map(|item| (self.generate.below(class(&item)), item));
        let (lower, upper): (Vec<_>, Vec<_>) = named.partition(|(below, _)| below.is_none());
        let plan_upon = |(below, item): (Below<'_, G>, C)| {
            let outcome = plan(&item, below);
            (item, outcome)
        };
        let mut planned: Vec<_> = lower.into_par_iter().map(|(_, item)| plan_upon((None, item))).collect();
        let known: BTreeMap<&G::Class, Below<'_, G>> =
            planned.iter().map(|(item, outcome)| (class(item), outcome.as_ref().ok().map(&made))).collect();
        let find = |below: G::Class| known.get(&below).copied().unwrap_or_else(|| self.current(&below));
        let upper: Vec<_> = upper.into_iter().map(|(below, item)| (below.and_then(&find), item)).collect();
        let upper: Vec<_> = upper.into_par_iter().map(plan_upon).collect();
        planned.extend(upper);
        planned
    }

    /// The plan of a class if it is of this mesh.
    fn current(&self, class: &G::Class) -> Below<'_, G> {
        let state = self.classes.get(self.classes.find(class)?)?;
        state.failure.is_none().then_some(&state.plan)
    }

    /// The first plan of a class: there is no last form that could be held.
    pub(super) fn plan_first(&self, class: &G::Class, below: Below<'_, G>) -> Outcome<Arc<G::Plan>> {
        self.guarded(|| self.generate.plan(&self.mesh, class, None, false, below))
    }

    /// The next plan of a class that has one.
    pub(super) fn plan_next(
        &self,
        state: &ClassState<G>,
        changes: &G::Changes,
        now: Duration,
        below: Below<'_, G>,
    ) -> Outcome<Planned<G>> {
        if state.failure.is_some() {
            // The last plan is of an older mesh than the one that these changes start from.
            return self.plan_first(&state.class, below).map(Planned::new);
        }
        let since = state.held_since.unwrap_or(now);
        let hold = now < since.saturating_add(self.hold_for);
        self.guarded(|| {
            let previous = Some((&state.plan, changes));
            let plan = self.generate.plan(&self.mesh, &state.class, previous, hold, below);
            match (self.generate.holding(&plan), hold) {
                (false, _) => Planned::new(plan),
                (true, true) => Planned { plan, held_since: Some(since) },
                // Nothing may be held longer, whatever the last plan says.
                (true, false) => {
                    Planned::new(self.generate.plan(&self.mesh, &state.class, None, false, below))
                }
            }
        })
    }

    /// When the hold of this class ends.
    pub(super) fn held_until(&self, state: &ClassState<G>) -> Option<Duration> {
        Some(state.held_since?.saturating_add(self.hold_for))
    }

    fn guarded<T>(&self, plan: impl FnOnce() -> T) -> Outcome<T> {
        catch(plan).map_err(|message| Arc::new(Failure::unnamed(Stage::Plan, message)))
    }
}
