//! Identity by content: what rooms that never see each other's types compare by.

/// A value that is known by the 128-bit hash of its content, the same in every process.
pub trait ContentHash {
    /// The hash. Equal hashes mean equal values.
    fn content_hash(&self) -> u128;
}
