//! Making plans, and holding what refers to something that does not exist yet.

use std::sync::Arc;
use std::time::Duration;

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

impl<G: Generate> Engine<G> {
    /// The first plan of a class: there is no last form that could be held.
    pub(super) fn plan_first(&self, class: &G::Class) -> Result<Arc<G::Plan>, Arc<Failure>> {
        self.guarded(|| self.generate.plan(&self.mesh, class, None, false))
    }

    /// The next plan of a class that has one.
    pub(super) fn plan_next(
        &self,
        state: &ClassState<G>,
        changes: &G::Changes,
        now: Duration,
    ) -> Result<Planned<G>, Arc<Failure>> {
        if state.failure.is_some() {
            // The last plan is of an older mesh than the one that these changes start from.
            return self.plan_first(&state.class).map(Planned::new);
        }
        let since = state.held_since.unwrap_or(now);
        let hold = now < since.saturating_add(self.hold_for);
        self.guarded(|| {
            let previous = Some((&state.plan, changes));
            let plan = self.generate.plan(&self.mesh, &state.class, previous, hold);
            match (self.generate.holding(&plan), hold) {
                (false, _) => Planned::new(plan),
                (true, true) => Planned { plan, held_since: Some(since) },
                // Nothing may be held longer, whatever the last plan says.
                (true, false) => Planned::new(self.generate.plan(&self.mesh, &state.class, None, false)),
            }
        })
    }

    /// When the hold of this class ends.
    pub(super) fn held_until(&self, state: &ClassState<G>) -> Option<Duration> {
        Some(state.held_since?.saturating_add(self.hold_for))
    }

    fn guarded<T>(&self, plan: impl FnOnce() -> T) -> Result<T, Arc<Failure>> {
        catch(plan).map_err(|message| Arc::new(Failure::unnamed(Stage::Plan, message)))
    }
}
