//! Places for connections: no source takes more than it leaves free, so that a newcomer finds one.
//!
//! Source: the dynamic thresholds of Choudhury and Hahne for shared buffers ("Dynamic queue length thresholds for shared-memory
//! packet switches", IEEE/ACM Transactions on Networking 6(2), 1998), with a factor of one.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often it is told that somebody was sent away: whoever comes again and again must not fill the log.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// So many places. Clones are the same.
#[derive(Clone, Debug)]
pub struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    most: usize,
    free: usize,
    taken: HashMap<Option<IpAddr>, usize>,
    /// When it was last told that there was no place, and how many were sent away since.
    told: Option<Instant>,
    untold: u64,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    source: Option<IpAddr>,
}

/// Why there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The source has as many as there are left for all others.
    Source,
}

impl Places {
    /// So many places.
    pub fn new(most: usize) -> Self {
        let taken = HashMap::new();
        Self(Arc::new(Mutex::new(State { most, free: most, taken, told: None, untold: 0 })))
    }

    /// A place for a connection from this address; those of which nobody knows where they come from are of one source. That
    /// somebody finds none is told now and then.
    ///
    /// # Errors
    /// There is none, or the source has had its share: half of all if it comes alone, a third each of two that take all they
    /// can get, and so on.
    pub fn take(&self, source: Option<IpAddr>) -> Result<Place, Full> {
        let mut state = self.lock();
        if state.free == 0 {
            return Err(state.refuse(Full::All, source));
        }
        if state.taken.get(&source).is_some_and(|taken| *taken >= state.free) {
            return Err(state.refuse(Full::Source, source));
        }
        state.free -= 1;
        *state.taken.entry(source).or_default() += 1;
        drop(state);
        Ok(Place { places: self.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells of it, unless it was told just now.
    fn refuse(&mut self, full: Full, source: Option<IpAddr>) -> Full {
        self.untold += 1;
        let now = Instant::now();
        if self.told.is_none_or(|told| now - told >= TELL_EVERY) {
            self.told = Some(now);
            let (most, refused) = (self.most, std::mem::take(&mut self.untold));
            tracing::warn!(?source, most, refused, "connections are refused: {full}");
        }
        full
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "there is no room for more",
            Self::Source => "this address has as many as are left for all others",
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.free += 1;
        if let Some(taken) = state.taken.get_mut(&self.source) {
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Full, Place, Places};

    fn fill(places: &Places, last: u8) -> (Vec<Place>, Full) {
        let mut taken = Vec::new();
        loop {
            match places.take(Some(Ipv4Addr::new(10, 0, 0, last).into())) {
                Ok(place) => taken.push(place),
                Err(full) => return (taken, full),
            }
        }
    }

    #[test]
    fn who_takes_all_it_can_get_leaves_as_much_for_others() {
        let places = Places::new(100);
        let (first, full) = fill(&places, 1);
        assert_eq!((first.len(), full), (50, Full::Source));
        let (second, full) = fill(&places, 2);
        assert_eq!((second.len(), full), (25, Full::Source));
        // With what the first gives back the second may go on, up to what is left.
        drop(first);
        let (more, full) = fill(&places, 2);
        assert_eq!((second.len() + more.len(), full), (50, Full::Source));
    }

    #[test]
    fn many_sources_fill_all_places_and_what_is_given_back_is_there() {
        let places = Places::new(20);
        let taken: Vec<_> = (0..20).map(|last| places.take(Some([10, 0, 0, last].into()))).collect();
        assert!(taken.iter().all(Result::is_ok));
        assert_eq!(fill(&places, 99).1, Full::All);
        drop(taken);
        assert_eq!(fill(&places, 99).0.len(), 10);
        assert!(places.lock().taken.is_empty(), "nobody is remembered who has gone");
    }
}
