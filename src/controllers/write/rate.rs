//! A token bucket: so many requests a second, and a burst of some more after a pause. Pure: time is a value.

use std::time::{Duration, Instant};

/// How many requests are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// So many a second, in the long run; more than 0.
    pub per_second: f64,
    /// So many at once after a pause; at least 1.
    pub burst: f64,
}

/// Requests that may be made now, below 0 if some wait for their time.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let rate = Rate { per_second: rate.per_second.max(0.001), burst: rate.burst.max(1.0) };
        Self { rate, tokens: rate.burst, at: now }
    }

    /// Takes one request's share; how long it has to wait. Requests are let through in the order in which they ask.
    pub(super) fn take(&mut self, now: Instant) -> Duration {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * self.rate.per_second;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + filled).min(self.rate.burst) - 1.0;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.rate.per_second)
    }
}

#[test]
fn a_burst_goes_at_once_and_then_so_many_a_second() {
    let start = Instant::now();
    let mut bucket = Bucket::new(Rate { per_second: 10.0, burst: 3.0 }, start);
    let millis = |wait: Duration| wait.as_millis();
    let waits: Vec<u128> = (0..5).map(|_| millis(bucket.take(start))).collect();
    assert_eq!(waits, [0, 0, 0, 100, 200]);
    // The two that waited are paid for, and one more.
    assert_eq!(millis(bucket.take(start + Duration::from_millis(300))), 0);
    assert_eq!(millis(bucket.take(start + Duration::from_millis(300))), 100);
    // No more than the burst is saved up.
    let later = start + Duration::from_secs(60);
    assert_eq!((0..4).map(|_| millis(bucket.take(later))).collect::<Vec<_>>(), [0, 0, 0, 100]);
}
