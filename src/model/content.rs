//! Content identity: `Ref<T>`, a shared value that is compared and hashed by the 128-bit hash of its content.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

/// A 128-bit hash of content, the same in every process that runs the same build.
pub type ContentHash = u128;

/// The hash of any value by its `Hash` implementation.
///
/// Values must hash deterministically: ordered maps only, no addresses, no random state.
pub fn content_hash<T: Hash + ?Sized>(value: &T) -> ContentHash {
    let mut hasher = ContentHasher(Xxh3::new());
    value.hash(&mut hasher);
    hasher.0.digest128()
}

/// A `std::hash::Hasher` that keeps all 128 bits of xxh3.
struct ContentHasher(Xxh3);

impl Hasher for ContentHasher {
    fn finish(&self) -> u64 {
        self.0.digest()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// An immutable value behind an `Arc`, with the hash of its content made once.
///
/// `Eq`, `Ord` and `Hash` look at the hash only, so that a key that holds many of them is compared and
/// hashed in a few instructions however large the objects are.
pub struct Ref<T: ?Sized>(Arc<Hashed<T>>);

struct Hashed<T: ?Sized> {
    hash: ContentHash,
    value: T,
}

impl<T: Hash> Ref<T> {
    /// Shares `value`, hashing its content once.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Hashed { hash: content_hash(&value), value }))
    }
}

impl<T: ?Sized> Ref<T> {
    /// The hash of the content.
    pub fn content_hash(&self) -> ContentHash {
        self.0.hash
    }

    /// Whether both are the same allocation, not only equal content.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> api::ContentHash for Ref<T> {
    fn content_hash(&self) -> u128 {
        self.0.hash
    }
}

impl<T: Hash + Default> Default for Ref<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<'a, T> IntoIterator for &'a Ref<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: ?Sized> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl<T: ?Sized> Eq for Ref<T> {}

impl<T: ?Sized> PartialOrd for Ref<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized> Ord for Ref<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.hash.cmp(&other.0.hash)
    }
}

impl<T: ?Sized> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0.hash);
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_is_equal_whatever_the_allocation() {
        let (a, b) = (Ref::new(vec!["x".to_owned()]), Ref::new(vec!["x".to_owned()]));
        assert_eq!(a, b);
        assert!(!a.ptr_eq(&b));
        assert_eq!(content_hash(&a), content_hash(&b));
    }

    #[test]
    fn different_content_differs() {
        assert_ne!(Ref::new(1u8), Ref::new(2u8));
        assert_ne!(Ref::new(("ab", "c")), Ref::new(("a", "bc")), "borders between fields count");
    }

    #[test]
    fn the_hash_of_a_value_is_fixed() {
        // A version that changed from one process to the next would push everything again after a restart.
        assert_eq!(content_hash("pilothouse"), content_hash(&String::from("pilothouse")));
        assert_eq!(
            format!("{:032x}", content_hash(&1u32)),
            format!("{:032x}", Ref::new(1u32).content_hash())
        );
    }
}
