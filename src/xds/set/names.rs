//! A sorted list of resource names with an index, shared by all layers that have the same names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Distinct names in ascending order.
pub struct Names {
    list: Box<[Arc<str>]>,
    /// Open addressing: positions in `list`, [`VACANT`] where there is none. The length is a power of two.
    index: Box<[u32]>,
    hash: u128,
}

const VACANT: u32 = u32::MAX;

impl Names {
    /// A list of names that are sorted and distinct.
    pub(crate) fn new(list: Box<[Arc<str>]>) -> Self {
        let hash = hash(&list);
        // At least half of the index stays vacant, so that every search ends.
        let mut index = vec![VACANT; (list.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = index.len() - 1;
        for (at, name) in list.iter().enumerate() {
            let mut probe = xxh3_64(name.as_bytes()) as usize;
            while let Some(place) = index.get_mut(probe & mask) {
                if *place == VACANT {
                    *place = at as u32;
                    break;
                }
                probe = probe.wrapping_add(1);
            }
        }
        Self { list, index, hash }
    }

    /// The names.
    pub fn list(&self) -> &[Arc<str>] {
        &self.list
    }

    /// The position of a name in [`Names::list`].
    pub fn position(&self, name: &str) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut probe = xxh3_64(name.as_bytes()) as usize;
        loop {
            let at = *self.index.get(probe & mask)?;
            if **self.list.get(at as usize)? == *name {
                return Some(at as usize);
            }
            probe = probe.wrapping_add(1);
        }
    }
}

fn hash(list: &[Arc<str>]) -> u128 {
    let mut hasher = Xxh3::new();
    for name in list {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.digest128()
}

/// The lists that are in use, so that equal lists are one.
#[derive(Default)]
pub(crate) struct NameTable(Mutex<HashMap<u128, Weak<Names>>>);

impl NameTable {
    /// The shared form of a list of sorted, distinct names.
    pub(crate) fn share(&self, list: Vec<Arc<str>>) -> Arc<Names> {
        let hash = hash(&list);
        if let Some(names) = self.lists().get(&hash).and_then(Weak::upgrade) {
            return names;
        }
        let made = Arc::new(Names::new(list.into()));
        let mut lists = self.lists();
        // Another thread may have been faster.
        if let Some(names) = lists.get(&hash).and_then(Weak::upgrade) {
            return names;
        }
        lists.insert(hash, Arc::downgrade(&made));
        made
    }

    /// Forgets the lists that nothing uses any more.
    pub(crate) fn sweep(&self) {
        self.lists().retain(|_, names| names.strong_count() > 0);
    }

    /// How many lists are remembered.
    pub(crate) fn len(&self) -> usize {
        self.lists().len()
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<u128, Weak<Names>>> {
        // The map is whole between any two calls, also after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Names {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{NameTable, Names};

    fn names(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|n| Arc::from(format!("name-{n:05}"))).collect()
    }

    #[test]
    fn every_name_is_found_at_its_place_and_no_other() {
        for count in [0, 1, 2, 3, 4, 5, 63, 64, 65, 1000] {
            let list = Names::new(names(count).into());
            for (at, name) in names(count).iter().enumerate() {
                assert_eq!(list.position(name), Some(at));
            }
            assert_eq!(list.position("name"), None);
            assert_eq!(list.position(""), None);
        }
    }

    #[test]
    fn equal_lists_are_one_while_somebody_uses_them() {
        let table = NameTable::default();
        let first = table.share(names(10));
        assert!(Arc::ptr_eq(&first, &table.share(names(10))));
        assert!(!Arc::ptr_eq(&first, &table.share(names(11))));
        table.sweep();
        assert_eq!(table.len(), 1);
        drop(first);
        table.sweep();
        assert_eq!(table.len(), 0);
    }
}
