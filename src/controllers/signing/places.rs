//! Who may wait for a signer: so many for each, and so many from one address, so that one that does not answer costs others
//! nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Metrics;

/// So many wait for all signers.
const MOST: usize = 2048;
/// So many wait for one signer.
const PER_SIGNER: usize = 512;
/// So many of them from one address: a node's proxy asks for all of its pods.
const PER_SOURCE: usize = 128;

/// All places. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<String, Taken>>>);

/// The places of one signer that are taken.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<Option<IpAddr>, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    signer: String,
    source: Option<IpAddr>,
    metrics: Metrics,
}

impl Places {
    /// A place for a request from a source; none if all are taken.
    pub(super) fn take(&self, signer: &str, source: Option<IpAddr>, metrics: &Metrics) -> Option<Place> {
        let mut state = self.lock();
        let all: usize = state.values().map(|taken| taken.all).sum();
        let known = state.get(signer);
        let (of_signer, of_source) =
            known.map_or((0, 0), |taken| (taken.all, taken.by.get(&source).copied().unwrap_or_default()));
        if all >= MOST || of_signer >= PER_SIGNER || of_source >= PER_SOURCE {
            return None;
        }
        let taken = state.entry(signer.to_owned()).or_default();
        taken.all += 1;
        *taken.by.entry(source).or_default() += 1;
        metrics.waiting(signer, taken.all);
        Some(Place { places: self.clone(), signer: signer.to_owned(), source, metrics: metrics.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        let Some(taken) = state.get_mut(&self.signer) else { return };
        taken.all -= 1;
        let left = taken.all;
        if let Some(count) = taken.by.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.by.remove(&self.source);
            }
        }
        if left == 0 {
            state.remove(&self.signer);
        }
        self.metrics.waiting(&self.signer, left);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn whoever_is_waited_for_in_vain_keeps_nobody_from_others() {
        let metrics = Metrics::register(&Registry::new()).expect("metrics");
        let places = Places::default();
        let source = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
        let take = |signer: &str, last| places.take(signer, source(last), &metrics);
        let mut taken: Vec<Place> = (0..1000).map_while(|_| take("a", 1)).collect();
        assert_eq!(taken.len(), PER_SOURCE);
        for last in 2..100 {
            taken.extend((0..PER_SOURCE).map_while(|_| take("a", last)));
        }
        assert_eq!(taken.len(), PER_SIGNER);
        let other = take("b", 1).expect("a place");
        taken.pop();
        assert!(take("a", 99).is_some());
        drop((taken, other));
        assert!(places.lock().is_empty());
        let all: Vec<Place> =
            (0..5000_u32).map_while(|number| places.take(&number.to_string(), None, &metrics)).collect();
        assert_eq!(all.len(), MOST);
    }
}
