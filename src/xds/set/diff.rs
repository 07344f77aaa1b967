//! The difference between two layers, and between two sets.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Layer, Set};
use crate::encoded::Encoded;

/// What must be sent and removed to get from one set to another. Both lists are in name order.
#[derive(Default)]
pub struct Diff {
    /// Resources that are new or whose version changed.
    pub changed: Vec<Arc<Encoded>>,
    /// Names that are gone.
    pub removed: Vec<Arc<str>>,
}

impl Diff {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// The entries of `new` that `old` does not have in the same version, and the names that only `old` has.
    pub(super) fn of_layers(new: &Layer, old: &Layer) -> Self {
        if Arc::ptr_eq(new.names(), old.names()) {
            let pairs = new.entries().iter().zip(old.entries());
            let changed = pairs.filter(|(new, old)| differ(new, old)).map(|(new, _)| new.clone()).collect();
            return Self { changed, removed: Vec::new() };
        }
        let mut diff = Self::default();
        let (mut news, mut olds) = (new.entries().iter().peekable(), old.entries().iter().peekable());
        loop {
            let order = match (news.peek(), olds.peek()) {
                (None, None) => return diff,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(new), Some(old)) => compare_names(new.name(), old.name()),
            };
            let new = if order.is_le() { news.next() } else { None };
            let old = if order.is_ge() { olds.next() } else { None };
            match (new, old) {
                (Some(new), Some(old)) if !differ(new, old) => {}
                (Some(new), _) => diff.changed.push(new.clone()),
                (None, Some(old)) => diff.removed.push(old.name().clone()),
                (None, None) => return diff,
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.changed.iter().map(|entry| entry.name()).chain(&self.removed)
    }
}

/// Orders names; names that are one allocation are equal without a look at them.
pub(crate) fn compare_names(a: &Arc<str>, b: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

fn differ(a: &Arc<Encoded>, b: &Arc<Encoded>) -> bool {
    !Arc::ptr_eq(a, b) && a.version != b.version
}

/// The difference between two layers at one position of two sets; a missing layer has nothing.
struct Change<'a> {
    at: usize,
    diff: Arc<Diff>,
    /// Names that only one of the layers hides.
    hiding: Vec<&'a Arc<str>>,
}

/// See [`Set::diff`].
pub(super) fn sets(new: &Set, old: &Set) -> Arc<Diff> {
    if new.is_same(old) {
        return Arc::default();
    }
    let changes = changes(new, old);
    let same_slots = new.slots() == old.slots();
    if let ([change], true) = (&*changes, same_slots)
        && change.hiding.is_empty()
        && change.diff.names().all(|name| !touched_elsewhere(new, change.at, name))
    {
        return change.diff.clone();
    }
    let mut names: Vec<&Arc<str>> = Vec::new();
    for change in &changes {
        names.extend(change.diff.names().chain(change.hiding.iter().copied()));
    }
    if !same_slots {
        let layers = new.layers().iter().chain(old.layers());
        let entries = layers.flat_map(|layer| layer.entries());
        names.extend(entries.filter(|entry| entry.is_slotted()).map(|entry| entry.name()));
    }
    names.sort_unstable();
    names.dedup();
    Arc::new(compare(new, old, &names))
}

fn changes<'a>(new: &'a Set, old: &'a Set) -> Vec<Change<'a>> {
    let empty = Layer::empty(new.kind());
    let count = new.layers().len().max(old.layers().len());
    let mut changes = Vec::new();
    for at in 0..count {
        let (new, old) = (new.layers().get(at), old.layers().get(at));
        let of = |layer: Option<&'a Arc<Layer>>| layer.map_or::<&[Arc<str>], _>(&[], |layer| layer.hidden());
        let hiding = only_one(of(new), of(old));
        let (new, old) = (new.map_or(&empty, |layer| &**layer), old.map_or(&empty, |layer| &**layer));
        if new.is_same(old) {
            continue;
        }
        let diff = new.diff_from(old).cloned().unwrap_or_else(|| Arc::new(Diff::of_layers(new, old)));
        changes.push(Change { at, diff, hiding });
    }
    changes
}

/// The names that are in one of two ascending lists only.
fn only_one<'a>(a: &'a [Arc<str>], b: &'a [Arc<str>]) -> Vec<&'a Arc<str>> {
    if std::ptr::eq(a, b) {
        return Vec::new();
    }
    let lacks = |list: &[Arc<str>], name: &Arc<str>| list.binary_search(name).is_err();
    let only_a = a.iter().filter(|name| lacks(b, name));
    only_a.chain(b.iter().filter(|name| lacks(a, name))).collect()
}

/// Whether a layer other than the one at `at` has or hides the name.
fn touched_elsewhere(set: &Set, at: usize, name: &str) -> bool {
    let mut layers = set.layers().iter().enumerate();
    layers.any(|(other, layer)| {
        other != at && !layer.is_void() && (layer.get(name).is_some() || layer.hides(name))
    })
}

/// The difference in the given names, which are ascending.
fn compare(new: &Set, old: &Set, names: &[&Arc<str>]) -> Diff {
    let mut diff = Diff::default();
    for &name in names {
        match (new.get(name), old.get(name)) {
            (Some(now), Some(before)) if new.version(now) == old.version(before) => {}
            (Some(now), _) => diff.changed.push(now.clone()),
            (None, Some(_)) => diff.removed.push(name.clone()),
            (None, None) => {}
        }
    }
    diff
}
