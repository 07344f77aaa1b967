//! The classes in use, counted by the proxies that are of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::plans::Planned;
use crate::failure::Failure;
use crate::generate::Generate;
use crate::kind::ResourceType;
use crate::set::Layer;

/// What a class has, by the index of the type.
pub(super) type Layers = [Arc<Layer>; ResourceType::COUNT];

/// The place of a class in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClassId(usize);

/// A class with its plan and what came of it.
pub(super) struct ClassState<G: Generate> {
    pub(super) class: G::Class,
    users: usize,
    pub(super) plan: Arc<G::Plan>,
    pub(super) layers: Layers,
    /// Since when some entry of the plan keeps its last form.
    pub(super) held_since: Option<Duration>,
    /// Why the plan is that of an earlier mesh. The next plan is then made from scratch.
    pub(super) failure: Option<Arc<Failure>>,
}

pub(super) struct Classes<G: Generate> {
    ids: BTreeMap<G::Class, ClassId>,
    states: Vec<Option<ClassState<G>>>,
    free: Vec<ClassId>,
    /// Classes that may be without users.
    idle: Vec<ClassId>,
}

impl<G: Generate> Default for Classes<G> {
    fn default() -> Self {
        Self { ids: BTreeMap::new(), states: Vec::new(), free: Vec::new(), idle: Vec::new() }
    }
}

impl<G: Generate> Classes<G> {
    pub(super) fn find(&self, class: &G::Class) -> Option<ClassId> {
        self.ids.get(class).copied()
    }

    pub(super) fn get(&self, id: ClassId) -> Option<&ClassState<G>> {
        self.states.get(id.0)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: ClassId) -> Option<&mut ClassState<G>> {
        self.states.get_mut(id.0)?.as_mut()
    }

    /// All classes, in class order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClassId, &ClassState<G>)> {
        self.ids.values().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Adds a class that is not there yet. It goes with the next [`Classes::drop_unused`] unless it is held.
    pub(super) fn insert(&mut self, class: G::Class, planned: Planned<G>, layers: Layers) {
        let id = self.free.pop().unwrap_or_else(|| {
            self.states.push(None);
            ClassId(self.states.len() - 1)
        });
        let Planned { plan, held_since } = planned;
        let state = ClassState { class: class.clone(), users: 0, plan, layers, held_since, failure: None };
        if let Some(place) = self.states.get_mut(id.0) {
            *place = Some(state);
        }
        self.ids.insert(class, id);
        self.idle.push(id);
    }

    /// A proxy is of these classes now.
    pub(super) fn hold(&mut self, ids: &[ClassId]) {
        for id in ids {
            if let Some(state) = self.get_mut(*id) {
                state.users += 1;
            }
        }
    }

    /// A proxy is of these classes no longer.
    pub(super) fn release(&mut self, ids: &[ClassId]) {
        for id in ids {
            if let Some(state) = self.get_mut(*id) {
                state.users -= 1;
                if state.users == 0 {
                    self.idle.push(*id);
                }
            }
        }
    }

    /// Drops the classes that no proxy is of; returns how many resources they had.
    pub(super) fn drop_unused(&mut self) -> usize {
        let mut resources = 0;
        for id in std::mem::take(&mut self.idle) {
            let Some(place) = self.states.get_mut(id.0) else { continue };
            if let Some(state) = place.take_if(|state| state.users == 0) {
                resources += state.layers.iter().map(|layer| layer.len()).sum::<usize>();
                self.ids.remove(&state.class);
                self.free.push(id);
            }
        }
        resources
    }
}
