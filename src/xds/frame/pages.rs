//! Pages of a response that several streams are written at the same time: what one of them has gathered, the others pass on
//! by reference.
//!
//! A run is a stretch of resources that is the same in every response which has its resources. Where it ends follows
//! from its last resource alone, so that responses which differ in one place have the same runs elsewhere. Pages are
//! kept while some response is being written, and not for the sake of one stream alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::encoded::Encoded;
use crate::protocol::Variant;

/// Shorter responses are written without: gathering them costs little.
const LONG: usize = 256 * 1024;

/// When so many bytes are kept, no more runs are.
const ROOM: usize = 16 * 1024 * 1024;

/// One resource in so many ends a run, by its version.
const RARITY: u128 = 64;

/// A run has no more resources than this.
const LONGEST: usize = 256;

/// Lends pages to writers. Clones lend the same.
#[derive(Clone, Debug, Default)]
pub struct Pages(Arc<Mutex<Weak<Shelf>>>);

/// The pages that are kept while somebody holds this.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    runs: HashMap<u128, Arc<Run>>,
    len: usize,
}

/// A run of resources on the wire.
#[derive(Debug)]
pub(super) struct Run {
    variant: Variant,
    /// Held, so that no other resource comes to stand at the address of one of them.
    resources: Box<[Arc<Encoded>]>,
    pub(super) pages: Box<[Bytes]>,
}

impl Pages {
    /// The shelf for a response of `len` bytes; none if it is short.
    pub(super) fn shelf(&self, len: usize) -> Option<Arc<Shelf>> {
        if len < LONG {
            return None;
        }
        let mut current = lock(&self.0);
        Some(current.upgrade().unwrap_or_else(|| {
            let shelf = Arc::default();
            *current = Arc::downgrade(&shelf);
            shelf
        }))
    }
}

impl Shelf {
    /// The run that is `resources`: what another writer has left, or what `gather` returns. None for a writer that is alone,
    /// and where there is no room for another run: whoever is slow would hold a run that is of no use to others.
    pub(super) fn run(
        self: &Arc<Self>,
        variant: Variant,
        resources: &[Arc<Encoded>],
        gather: impl FnOnce() -> Vec<Bytes>,
    ) -> Option<Arc<Run>> {
        let key = key(variant, resources);
        let kept = lock(&self.0);
        if let Some(run) = kept.runs.get(&key) {
            return run.is(variant, resources).then(|| Arc::clone(run));
        }
        if Arc::strong_count(self) == 1 || kept.len >= ROOM {
            return None;
        }
        drop(kept);
        let run = Arc::new(Run { variant, resources: resources.into(), pages: gather().into() });
        lock(&self.0).keep(key, &run);
        Some(run)
    }
}

impl Kept {
    fn keep(&mut self, key: u128, run: &Arc<Run>) {
        // Another thread may have gathered the same.
        if self.runs.insert(key, Arc::clone(run)).is_none() {
            self.len += run.pages.iter().map(Bytes::len).sum::<usize>();
        }
    }
}

impl Run {
    fn is(&self, variant: Variant, resources: &[Arc<Encoded>]) -> bool {
        let same = || self.resources.iter().zip(resources).all(|(a, b)| Arc::ptr_eq(a, b));
        self.variant == variant && self.resources.len() == resources.len() && same()
    }
}

/// Those of these resources that are the next run; none if the first is told every proxy in another way.
pub(super) fn next(rest: &[Arc<Encoded>]) -> &[Arc<Encoded>] {
    let alike = rest.iter().take(LONGEST).take_while(|resource| !resource.slotted).count();
    let (alike, _) = rest.split_at(alike);
    let end = alike.iter().position(|resource| resource.version.0.is_multiple_of(RARITY));
    end.and_then(|end| alike.get(..=end)).unwrap_or(alike)
}

fn key(variant: Variant, resources: &[Arc<Encoded>]) -> u128 {
    let mut hasher = Xxh3::with_seed(u64::from(variant == Variant::Delta));
    for resource in resources {
        hasher.update(&Arc::as_ptr(resource).addr().to_le_bytes());
    }
    hasher.digest128()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
