//! What a proxy is to have of one type: a few shared layers, and the difference between two such sets.

mod diff;
mod layer;
mod merged;
mod names;

use std::sync::Arc;

use crate::encoded::Encoded;
use crate::kind::ResourceType;
use crate::slot::Slots;
use crate::version::Version;
pub use diff::Diff;
pub(crate) use diff::compare_names;
pub(crate) use layer::Draft;
pub use layer::Layer;
pub use merged::Iter;
pub(crate) use names::NameTable;
pub use names::Names;

/// The resources of one type for one proxy. Immutable; cheap to make from layers that exist.
///
/// Of several entries of a name the one in the last layer counts, unless a later layer hides the name.
pub struct Set {
    kind: ResourceType,
    /// Lowest first.
    layers: Box<[Arc<Layer>]>,
    slots: Slots,
}

impl Set {
    /// A set of these layers, the lowest first, for a proxy with these values.
    pub fn new(kind: ResourceType, layers: impl IntoIterator<Item = Arc<Layer>>, slots: Slots) -> Self {
        Self { kind, layers: layers.into_iter().collect(), slots }
    }

    /// A set without resources.
    pub fn empty(kind: ResourceType) -> Self {
        Self::new(kind, [], Slots::default())
    }

    /// The type of the resources.
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    /// The values that the proxy has for the slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// The resource of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Encoded>> {
        for layer in self.layers.iter().rev() {
            if let Some(entry) = layer.get(name) {
                return Some(entry);
            }
            if layer.hides(name) {
                return None;
            }
        }
        None
    }

    /// The resources in name order.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.layers)
    }

    /// How many resources there are. Counts them if there is more than one layer.
    pub fn len(&self) -> usize {
        let mut filled = self.layers.iter().filter(|layer| !layer.is_void());
        match (filled.next(), filled.next()) {
            (None, _) => 0,
            (Some(only), None) => only.len(),
            (Some(_), Some(_)) => self.iter().count(),
        }
    }

    /// Whether there are no resources.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The version of one of this set's resources, for this set's proxy.
    pub fn version(&self, entry: &Encoded) -> Version {
        entry.version(&self.slots)
    }

    /// Whether both are known to have the same names, versions and bytes, without looking at the resources.
    pub fn is_same(&self, other: &Self) -> bool {
        self.slots == other.slots
            && self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(a, b)| a.is_same(b))
    }

    /// What must be sent and removed to get from `older` to this set.
    pub fn diff(&self, older: &Self) -> Arc<Diff> {
        diff::sets(self, older)
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }
}

impl<'a> IntoIterator for &'a Set {
    type Item = &'a Arc<Encoded>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
