//! How replicas know each other: by proofs that they have the mesh's root key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use ca::PeerKey;

use crate::authority::root::Roots;

/// Makes and checks proofs with the root's key as soon as it is known. Clones are the same.
#[derive(Clone)]
pub(crate) struct Proofs {
    roots: Roots,
    told: Arc<AtomicBool>,
}

impl Proofs {
    /// With the key of this root.
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots, told: Arc::default() }
    }

    /// A proof for one request of a page; none while there is no root key.
    pub(crate) fn make(&self, page: &str) -> Option<String> {
        Some(self.key()?.prove(page, SystemTime::now()))
    }

    /// Whether this proves that a replica asks for a page. Nobody is let in while there is no root key.
    pub(crate) fn admits(&self, proof: &str, page: &str) -> bool {
        let Some(key) = self.key() else {
            self.tell_missing();
            return false;
        };
        key.proves(proof, page, SystemTime::now())
    }

    /// Says once that there is no root key.
    pub(super) fn tell_missing(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "there is no root key here by which replicas know each other: until there is one, the status of objects \
                 counts the proxies of the replica only that writes it"
            );
        }
    }

    fn key(&self) -> Option<PeerKey> {
        let root = self.roots.borrow().clone()?;
        root.peer_key().inspect_err(|error| tracing::error!(%error, "replicas cannot know each other")).ok()
    }
}
