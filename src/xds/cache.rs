//! What is already encoded, by the hash of the key. Owns nothing: an entry lives while something else holds it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Weak};

use crate::encoded::{Encoded, EncodedPart};
use crate::failure::Failure;
use crate::set::NameTable;

/// Everything that is shared between classes.
#[derive(Default)]
pub(crate) struct Cache {
    pub(crate) encoded: WeakMap<Encoded>,
    pub(crate) parts: WeakMap<EncodedPart>,
    /// Keys whose build panicked, so that it does so once while anything stands in for the result.
    pub(crate) failures: WeakMap<Failure>,
    pub(crate) names: NameTable,
    /// Entries that came or may have gone since the last sweep.
    moved: usize,
}

/// Fewer changes than this are not worth a sweep.
const SWEEP_FROM: usize = 1024;

impl Cache {
    /// Notes that about so many entries came or may have gone.
    pub(crate) fn moved(&mut self, count: usize) {
        self.moved += count;
    }

    /// Forgets dead entries once they may be a considerable part.
    pub(crate) fn sweep_if_due(&mut self) {
        if self.moved >= SWEEP_FROM && self.moved >= self.len() / 4 {
            self.sweep();
        }
    }

    /// Forgets dead entries.
    pub(crate) fn sweep(&mut self) {
        self.moved = 0;
        self.encoded.sweep();
        self.parts.sweep();
        self.failures.sweep();
        self.names.sweep();
    }

    /// How many entries there are, dead ones included.
    pub(crate) fn len(&self) -> usize {
        self.encoded.0.len() + self.parts.0.len() + self.failures.0.len() + self.names.len()
    }
}

/// Weak references by content hash.
pub(crate) struct WeakMap<T>(HashMap<u128, Weak<T>, BuildHasherDefault<Folded>>);

impl<T> Default for WeakMap<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> WeakMap<T> {
    /// The living value of a key.
    pub(crate) fn get(&self, key: u128) -> Option<Arc<T>> {
        self.0.get(&key)?.upgrade()
    }

    /// Remembers a value as long as it lives.
    pub(crate) fn insert(&mut self, key: u128, value: &Arc<T>) {
        self.0.insert(key, Arc::downgrade(value));
    }

    fn sweep(&mut self) {
        self.0.retain(|_, value| value.strong_count() > 0);
        self.0.shrink_to(self.0.len() * 2);
    }
}

/// Keys are hashes already: their halves are folded, not hashed again.
#[derive(Default)]
pub(crate) struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64 ^ (key >> 64) as u64;
    }
}

/// A map by content hash.
pub(crate) type HashIndex<V> = HashMap<u128, V, BuildHasherDefault<Folded>>;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{Cache, SWEEP_FROM};
    use crate::encoded::EncodedPart;

    #[test]
    fn an_entry_lives_while_somebody_holds_it() {
        let mut cache = Cache::default();
        let part = Arc::new(EncodedPart::own(Bytes::from_static(b"x"), false));
        cache.parts.insert(7, &part);
        assert!(Arc::ptr_eq(&cache.parts.get(7).unwrap(), &part));
        cache.sweep();
        assert_eq!(cache.len(), 1);
        drop(part);
        assert!(cache.parts.get(7).is_none());
        cache.moved(SWEEP_FROM - 1);
        cache.sweep_if_due();
        assert_eq!(cache.len(), 1, "not worth a sweep yet");
        cache.moved(1);
        cache.sweep_if_due();
        assert_eq!(cache.len(), 0);
    }
}
