//! Lists of objects in an order, from one mesh to the next: what a change does not concern stays where it is.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::content::Ref;

/// What of a section's objects is no longer there, and what is there instead.
#[derive(Debug)]
pub(super) struct Exchange<'a, T> {
    gone: BTreeSet<&'a Ref<T>>,
    /// In order.
    came: Vec<&'a Ref<T>>,
    order: fn(&T, &T) -> Ordering,
}

impl<'a, T> Exchange<'a, T> {
    /// `order` is the order of the lists; objects that it takes for equal must be equal.
    pub(super) fn new(gone: &'a [Ref<T>], came: &'a [Ref<T>], order: fn(&T, &T) -> Ordering) -> Self {
        let mut came: Vec<_> = came.iter().collect();
        came.sort_by(|a, b| order(a, b));
        Self { gone: gone.iter().collect(), came, order }
    }

    /// A list of all objects without what is gone and with what came.
    pub(super) fn apply(&self, list: &[Ref<T>]) -> Vec<Ref<T>> {
        self.merge(list, &self.came)
    }

    fn merge(&self, list: &[Ref<T>], came: &[&Ref<T>]) -> Vec<Ref<T>> {
        let kept: Vec<_> = list.iter().filter(|object| !self.gone.contains(object)).collect();
        let mut next = Vec::with_capacity(kept.len().saturating_add(came.len()));
        let mut rest = kept.as_slice();
        for object in came {
            let at = rest.partition_point(|other| (self.order)(other, object) == Ordering::Less);
            let (before, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            next.extend(before.iter().copied().cloned());
            next.push((*object).clone());
            rest = after;
        }
        next.extend(rest.iter().copied().cloned());
        next
    }
}

/// The objects of one sorted list that are not in another, and those of the other that are not in the first.
pub(super) fn difference<'a, T>(
    old: &'a [Ref<T>],
    new: &'a [Ref<T>],
    order: fn(&T, &T) -> Ordering,
) -> (Vec<&'a Ref<T>>, Vec<&'a Ref<T>>) {
    let (mut gone, mut came) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (gone, came),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) if a.ptr_eq(b) || a == b => {
                old.next();
                new.next();
                continue;
            }
            (Some(a), Some(b)) => order(a, b),
        };
        if order != Ordering::Greater {
            gone.extend(old.next());
        }
        if order != Ordering::Less {
            came.extend(new.next());
        }
    }
}

/// Objects by a name that each has, in order.
#[derive(Clone, Debug)]
pub(super) struct Lists<T>(BTreeMap<Arc<str>, Ref<Vec<Ref<T>>>>);

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Lists<T> {
    /// Divides a list by name.
    pub(super) fn new(list: &[Ref<T>], name: fn(&T) -> &Arc<str>) -> Self {
        let mut lists: BTreeMap<Arc<str>, Vec<Ref<T>>> = BTreeMap::new();
        for object in list {
            lists.entry(Arc::clone(name(object))).or_default().push(object.clone());
        }
        Self(lists.into_iter().map(|(name, list)| (name, Ref::new(list))).collect())
    }

    /// Takes a change in; lists of other names stay the same allocation. The names whose lists were made again come
    /// back.
    pub(super) fn apply(
        &mut self,
        exchange: &Exchange<'_, T>,
        name: fn(&T) -> &Arc<str>,
    ) -> BTreeSet<Arc<str>> {
        let mut touched: BTreeMap<&Arc<str>, Vec<&Ref<T>>> = BTreeMap::new();
        for object in &exchange.gone {
            touched.entry(name(object)).or_default();
        }
        for object in &exchange.came {
            touched.entry(name(object)).or_default().push(object);
        }
        for (own, came) in &touched {
            let list = exchange.merge(self.of(own), came);
            if list.is_empty() {
                self.0.remove(*own);
            } else {
                self.0.insert(Arc::clone(own), Ref::new(list));
            }
        }
        touched.into_keys().cloned().collect()
    }

    /// The objects of a name.
    pub(super) fn of(&self, name: &str) -> &[Ref<T>] {
        self.0.get(name).map_or(&[], |list| list.as_slice())
    }

    /// The list of a name, if there is any object.
    pub(super) fn get(&self, name: &str) -> Option<&Ref<Vec<Ref<T>>>> {
        self.0.get(name)
    }

    /// All names with their lists.
    pub(super) fn by_name(&self) -> &BTreeMap<Arc<str>, Ref<Vec<Ref<T>>>> {
        &self.0
    }
}
