//! Tokens that were verified, by their hash: until they end. What they are bound to is looked at each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest::{Digest, SHA256, digest};

/// So many are kept; a mesh of as many pods asks for a certificate twice a day each.
const MOST: usize = 65_536;

/// Verified tokens, each with what was found out.
pub(crate) struct Verified<T>(Mutex<HashMap<[u8; 32], Entry<T>>>);

struct Entry<T> {
    found: T,
    until: SystemTime,
}

/// The hash of a token.
#[derive(Clone, Copy)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    pub(crate) fn of(token: &str) -> Self {
        let digest: Digest = digest(&SHA256, token.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }
}

impl<T: Clone> Verified<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// What was found out about a token that has not ended at `now`.
    pub(crate) fn get(&self, hash: Hash, now: SystemTime) -> Option<T> {
        self.lock().get(&hash.0).filter(|entry| entry.until > now).map(|entry| entry.found.clone())
    }

    /// Keeps what was found out until the token ends.
    pub(crate) fn put(&self, hash: Hash, found: T, until: SystemTime, now: SystemTime) {
        let mut entries = self.lock();
        if entries.len() >= MOST {
            entries.retain(|_, entry| entry.until > now);
        }
        // Full of what has not ended: some must be verified again.
        if entries.len() >= MOST {
            entries.clear();
        }
        entries.insert(hash.0, Entry { found, until });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn is_kept_until_the_token_ends() {
        let (kept, now) = (Verified::new(), SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let end = now + Duration::from_secs(10);
        kept.put(Hash::of("a"), 1, end, now);
        assert_eq!(kept.get(Hash::of("a"), now), Some(1));
        assert_eq!(kept.get(Hash::of("b"), now), None);
        assert_eq!(kept.get(Hash::of("a"), end), None);
    }

    #[test]
    fn does_not_grow_for_ever() {
        let (kept, now) = (Verified::new(), SystemTime::UNIX_EPOCH);
        for number in 0..=MOST {
            kept.put(Hash::of(&number.to_string()), (), now + Duration::from_secs(1), now);
        }
        assert!(kept.lock().len() <= MOST);
    }
}
