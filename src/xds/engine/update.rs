//! Following the mesh: which classes and proxies a change touches, and what they are to have then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::assemble::{Job, assemble};
use super::classes::{ClassId, ClassState};
use super::plans::{Below, Planned};
use super::{Engine, ProxyId, ProxySets, Traits};
use crate::failure::Failure;
use crate::generate::Generate;

/// Proxies that are to have something else now.
pub type Updates = Vec<(ProxyId, ProxySets)>;

type Reclassified<G> = Vec<(ProxyId, Result<Traits<G>, Arc<Failure>>)>;

impl<G: Generate> Engine<G> {
    /// Takes the next snapshot; returns the proxies whose sets changed, in order of connection.
    pub fn update(&mut self, mesh: Arc<G::Mesh>, changes: &G::Changes, now: Duration) -> Updates {
        self.mesh = mesh;
        self.generation += 1;
        let moved = self.reclassify(changes);
        let mut touched = self.replan(None, changes, now);
        let failed = self.add_classes(moved.iter().filter_map(|(_, traits)| traits.as_ref().ok()));
        let mut proxies = BTreeSet::new();
        for (id, traits) in moved {
            if self.move_proxy(id, traits, &failed) {
                proxies.insert(id);
            }
        }
        touched.sort_unstable();
        let updates = self.refresh(&touched, &proxies);
        self.retire();
        updates
    }

    /// When [`Engine::release`] is to be called next: the time at which the first hold ends.
    pub fn deadline(&self) -> Option<Duration> {
        self.classes.iter().filter_map(|(_, state)| self.held_until(state)).min()
    }

    /// Lets go what has been held for long enough; returns the proxies whose sets changed.
    pub fn release(&mut self, now: Duration) -> Updates {
        let due = |(id, state)| self.held_until(state).filter(|until| *until <= now).map(|_| id);
        let due: BTreeSet<ClassId> = self.classes.iter().filter_map(due).collect();
        if due.is_empty() {
            return Updates::new();
        }
        let mut touched = self.replan(Some(&due), &G::Changes::default(), now);
        touched.sort_unstable();
        let updates = self.refresh(&touched, &BTreeSet::new());
        self.retire();
        updates
    }

    /// The traits of the proxies that may have others now.
    fn reclassify(&self, changes: &G::Changes) -> Reclassified<G> {
        let live: Vec<_> = self.proxies.iter().collect();
        live.into_par_iter()
            // A proxy whose last classification failed is tried again.
            .filter(|(_, live)| live.failure.is_some() || self.generate.reclassify(changes, &live.proxy))
            .map(|(id, live)| (*id, self.traits(&live.proxy)))
            .collect()
    }

    /// Plans all classes, or some; returns those whose plans changed.
    fn replan(
        &mut self,
        only: Option<&BTreeSet<ClassId>>,
        changes: &G::Changes,
        now: Duration,
    ) -> Vec<ClassId> {
        let wanted = |id: ClassId| only.is_none_or(|only| only.contains(&id));
        let classes: Vec<_> = self.classes.iter().filter(|(id, _)| wanted(*id)).collect();
        let next = |(_, state): &(_, &ClassState<G>), below: Below<'_, G>| {
            self.plan_next(state, changes, now, below)
        };
        let plans = self.plan_in_order(classes, |(_, state)| &state.class, next, |planned| &planned.plan);
        let plans: Vec<_> = plans.into_iter().map(|((id, _), plan)| (id, plan)).collect();
        self.counters.plans += plans.len() as u64;
        let mut changed = Vec::new();
        for (id, plan) in plans {
            match plan {
                Ok(planned) => changed.extend(self.take_plan(id, planned)),
                Err(failure) => {
                    self.count(&failure);
                    if let Some(state) = self.classes.get_mut(id) {
                        (state.failure, state.held_since) = (Some(failure), None);
                    }
                }
            }
        }
        self.assemble_changed(changed)
    }

    /// Notes that a class was planned; the plan, if it is another one.
    fn take_plan(&mut self, id: ClassId, planned: Planned<G>) -> Option<(ClassId, Arc<G::Plan>)> {
        let state = self.classes.get_mut(id)?;
        (state.failure, state.held_since) = (None, planned.held_since);
        (!Arc::ptr_eq(&state.plan, &planned.plan)).then_some((id, planned.plan))
    }

    fn assemble_changed(&mut self, changed: Vec<(ClassId, Arc<G::Plan>)>) -> Vec<ClassId> {
        let job = |(id, plan): &'_ (ClassId, Arc<G::Plan>)| {
            let before = self.classes.get(*id).map(|state| (state.plan.clone(), state.layers.clone()));
            (plan.clone(), before)
        };
        let held: Vec<_> = changed.iter().map(job).collect();
        let jobs: Vec<_> = held
            .iter()
            .map(|(plan, before)| Job {
                plan,
                before: before.as_ref().map(|(plan, layers)| (&**plan, layers)),
            })
            .collect();
        let layers = assemble(&*self.generate, &mut self.cache, &mut self.counters, &jobs);
        let mut ids = Vec::with_capacity(changed.len());
        for ((id, plan), layers) in changed.into_iter().zip(layers) {
            if let Some(state) = self.classes.get_mut(id) {
                (state.plan, state.layers) = (plan, layers);
                ids.push(id);
            }
        }
        ids
    }

    /// Gives a proxy its new traits; it keeps the old ones if the new ones could not be made. Returns whether they
    /// are others.
    fn move_proxy(
        &mut self,
        id: ProxyId,
        traits: Result<Traits<G>, Arc<Failure>>,
        failed: &BTreeMap<G::Class, Arc<Failure>>,
    ) -> bool {
        if let Err(failure) = &traits {
            self.count(failure);
        }
        let found = traits.and_then(|traits| {
            let classes = self.find_classes(&traits.classes, failed)?;
            Ok((classes, traits.slots))
        });
        let Some(live) = self.proxies.get_mut(&id) else { return false };
        let (classes, slots) = match found {
            Ok(found) => found,
            Err(failure) => {
                live.failure = Some(failure);
                return false;
            }
        };
        live.failure = None;
        if live.classes == classes && live.slots == slots {
            return false;
        }
        self.classes.hold(&classes);
        self.classes.release(&live.classes);
        (live.classes, live.slots) = (classes, slots);
        true
    }

    /// Makes the sets of the proxies that are of a touched class or have moved; returns those that differ.
    fn refresh(&mut self, touched: &[ClassId], moved: &BTreeSet<ProxyId>) -> Updates {
        let mut updates = Updates::new();
        for (id, live) in &mut self.proxies {
            let of_touched = live.classes.iter().any(|class| touched.binary_search(class).is_ok());
            if !of_touched && !moved.contains(id) {
                continue;
            }
            let new = ProxySets::new(&self.classes, &live.classes, &live.slots, self.generation);
            let (sets, news) = new.after(&live.sets);
            live.sets = sets;
            if news {
                updates.push((*id, live.sets.clone()));
            }
        }
        updates
    }
}
