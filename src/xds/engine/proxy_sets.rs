//! What one proxy is to have, of every type.

use std::sync::Arc;

use api::Problem;

use super::classes::{ClassId, Classes};
use crate::failure::Failure;
use crate::generate::Generate;
use crate::kind::ResourceType;
use crate::set::{Layer, Set};
use crate::slot::Slots;

/// The sets of one proxy; cheap to clone.
///
/// A set that did not change between two of these is the same `Arc`.
#[derive(Clone)]
pub struct ProxySets {
    sets: Arc<[Arc<Set>; ResourceType::COUNT]>,
    generation: u64,
}

impl ProxySets {
    /// The sets of a proxy of these classes.
    pub(super) fn new<G: Generate>(
        classes: &Classes<G>,
        of: &[ClassId],
        slots: &Slots,
        generation: u64,
    ) -> Self {
        let set = |kind: ResourceType| {
            let layers = of.iter().filter_map(|id| classes.get(*id)?.layers.get(kind.index()).cloned());
            Arc::new(Set::new(kind, layers, slots.clone()))
        };
        Self { sets: Arc::new(ResourceType::ALL.map(set)), generation }
    }

    /// These sets, with those of `older` in the place of equal ones.
    ///
    /// Returns whether a stream has to know: whether a name, a version or bytes differ.
    pub(super) fn after(self, older: &Self) -> (Self, bool) {
        let mut news = false;
        let sets = ResourceType::ALL.map(|kind| {
            let (new, old) = (self.get(kind), older.get(kind));
            let same = new.slots() == old.slots()
                && new.layers().len() == old.layers().len()
                && new.layers().iter().zip(old.layers()).all(|(a, b)| Arc::ptr_eq(a, b));
            news |= !new.is_same(old);
            if same { old.clone() } else { new.clone() }
        });
        (Self { sets: Arc::new(sets), generation: self.generation }, news)
    }

    /// Sets that are made by hand, for tests of what is built on them. Missing types are empty.
    pub fn from_sets(sets: impl IntoIterator<Item = Set>, generation: u64) -> Self {
        let mut all = ResourceType::ALL.map(|kind| Arc::new(Set::empty(kind)));
        for set in sets {
            if let Some(place) = all.get_mut(set.kind().index()) {
                *place = Arc::new(set);
            }
        }
        Self { sets: Arc::new(all), generation }
    }

    /// The set of one type.
    pub fn get(&self, kind: ResourceType) -> &Arc<Set> {
        let [cluster, endpoints, listener, route, secret, extension, names, trusted] = &*self.sets;
        match kind {
            ResourceType::Cluster => cluster,
            ResourceType::Endpoints => endpoints,
            ResourceType::Listener => listener,
            ResourceType::Route => route,
            ResourceType::Secret => secret,
            ResourceType::ExtensionConfig => extension,
            ResourceType::NameTable => names,
            ResourceType::ProxyConfig => trusted,
        }
    }

    /// The generation of the mesh in which these sets last changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What was found wrong with the source objects of these sets.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.layers().flat_map(Layer::problems)
    }

    /// The panics because of which something is missing or not in its current form.
    pub fn failures(&self) -> impl Iterator<Item = &Arc<Failure>> {
        self.layers().flat_map(Layer::failures)
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.sets.iter().flat_map(|set| set.layers()).map(|layer| &**layer)
    }
}
