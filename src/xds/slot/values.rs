//! The values that one proxy has for the slots.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

/// A proxy's values, in slot order; cheap to clone. Equality looks at the values' hashes.
#[derive(Clone)]
pub struct Slots(Arc<[Value]>);

struct Value {
    text: Box<str>,
    hash: u128,
}

impl Slots {
    /// The values for slots 0, 1, 2 ...
    pub fn new<T: Into<Box<str>>>(values: impl IntoIterator<Item = T>) -> Self {
        let value = |text: T| {
            let text = text.into();
            Value { hash: xxh3_128(text.as_bytes()), text }
        };
        Self(values.into_iter().map(value).collect())
    }

    /// The value of a slot; empty for a slot that the proxy has no value for.
    pub fn value(&self, index: u16) -> &str {
        self.0.get(usize::from(index)).map_or("", |value| &value.text)
    }

    /// The hash of [`Slots::value`].
    pub(crate) fn value_hash(&self, index: u16) -> u128 {
        self.0.get(usize::from(index)).map_or_else(|| xxh3_128(b""), |value| value.hash)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.len() == other.0.len() && self.0.iter().zip(&*other.0).all(|(a, b)| a.hash == b.hash)
    }
}

impl Eq for Slots {}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|value| &value.text)).finish()
    }
}
