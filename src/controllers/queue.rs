//! What a controller has yet to look at: each thing once, what is urgent first, what failed later.
//!
//! Source: client-go `util/workqueue`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The pause after a first failure; each further one in a row is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(60);

/// How soon something is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// It has just changed.
    Now,
    /// It is one of many that are looked at because something else changed, or at the start.
    Backlog,
}

/// Things to look at, by key.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    /// In the order in which they are taken.
    ready: BTreeMap<(Urgency, u64), K>,
    places: BTreeMap<K, (Urgency, u64)>,
    last: u64,
    waiting: BTreeSet<(Instant, K)>,
    /// Those that are looked at, and whether they changed meanwhile.
    running: BTreeMap<K, bool>,
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone + Debug> Queue<K> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            ready: BTreeMap::new(),
            places: BTreeMap::new(),
            last: 0,
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// A thing is to be looked at; if it is being looked at, once more afterwards.
    pub(crate) fn add(&mut self, key: &K, urgency: Urgency) {
        if let Some(again) = self.running.get_mut(key) {
            *again = true;
            return;
        }
        match self.places.get(key) {
            Some(place) if place.0 <= urgency => return,
            Some(place) => self.ready.remove(place),
            None => None,
        };
        self.last += 1;
        self.ready.insert((urgency, self.last), key.clone());
        self.places.insert(key.clone(), (urgency, self.last));
    }

    /// The next thing to look at. Until it is [`Queue::done`] or [`Queue::failed`] it does not come again.
    pub(crate) fn next(&mut self, now: Instant) -> Option<K> {
        while let Some((at, key)) = self.waiting.first().filter(|(at, _)| *at <= now).cloned() {
            self.waiting.remove(&(at, key.clone()));
            self.add(&key, Urgency::Backlog);
        }
        let (_, key) = self.ready.pop_first()?;
        self.places.remove(&key);
        self.running.insert(key.clone(), false);
        Some(key)
    }

    /// When there will be something to look at, if that is only a matter of time.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// How often in a row it failed.
    pub(crate) fn failures(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or(0)
    }

    /// A thing has been looked at.
    pub(crate) fn done(&mut self, key: &K) {
        self.failures.remove(key);
        if self.running.remove(key) == Some(true) {
            self.add(key, Urgency::Now);
        }
    }

    /// What was to be done about a thing failed: it comes again after a pause, or as soon as it changes.
    pub(crate) fn failed(&mut self, key: &K, now: Instant) {
        let failures = self.failures(key);
        if self.running.remove(key) == Some(true) {
            self.add(key, Urgency::Now);
            return;
        }
        self.failures.insert(key.clone(), failures + 1);
        let pause = LONGEST.min(PAUSE * 2_u32.saturating_pow(failures.min(10)));
        self.waiting.insert((now + pause, key.clone()));
    }
}

/// Ends when a time has come; never if there is none.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(keys: &[(&'static str, Urgency)]) -> Queue<&'static str> {
        let mut queue = Queue::new();
        keys.iter().for_each(|(key, urgency)| queue.add(key, *urgency));
        queue
    }

    fn taken(queue: &mut Queue<&'static str>, now: Instant) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.next(now)).collect()
    }

    #[test]
    fn what_is_urgent_goes_before_the_backlog_and_each_once() {
        use Urgency::{Backlog, Now};
        let mut queue =
            queue(&[("a", Backlog), ("b", Backlog), ("c", Now), ("a", Backlog), ("b", Now), ("c", Backlog)]);
        assert_eq!(taken(&mut queue, Instant::now()), ["c", "b", "a"]);
    }

    #[test]
    fn what_changes_while_it_is_looked_at_comes_again_afterwards() {
        let now = Instant::now();
        let mut queue = queue(&[("a", Urgency::Now)]);
        assert_eq!(queue.next(now), Some("a"));
        queue.add(&"a", Urgency::Now);
        assert_eq!(queue.next(now), None);
        queue.done(&"a");
        assert_eq!(queue.next(now), Some("a"));
        queue.done(&"a");
        assert_eq!((queue.next(now), queue.due()), (None, None));
    }

    #[test]
    fn what_fails_comes_again_ever_later_until_it_succeeds() {
        let start = Instant::now();
        let mut queue = queue(&[("a", Urgency::Now)]);
        let mut now = start;
        for pause in [500, 1000, 2000] {
            assert_eq!(queue.next(now), Some("a"));
            queue.failed(&"a", now);
            assert_eq!(queue.next(now), None);
            assert_eq!(queue.due(), Some(now + Duration::from_millis(pause)));
            now += Duration::from_millis(pause);
        }
        assert_eq!(queue.next(now), Some("a"));
        queue.done(&"a");
        queue.add(&"a", Urgency::Now);
        queue.next(now);
        queue.failed(&"a", now);
        assert_eq!(queue.due(), Some(now + PAUSE), "failures are counted anew");
    }
}
