//! How often a source may ask: a bucket of tokens each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many sources are known at a time.
const MOST: usize = 65_536;

/// How often a source may ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests a second in the long run; without a limit if 0.
    pub per_second: f64,
    /// Requests at once, after a pause.
    pub burst: f64,
}

impl Default for Rate {
    /// More than a processor signs: addresses may stand for a whole network behind a gateway. What is fair between sources
    /// does not hang on it.
    fn default() -> Self {
        Self { per_second: 5_000.0, burst: 20_000.0 }
    }
}

/// The buckets of all sources.
pub(crate) struct Buckets {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Buckets {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Whether a source may ask at `now`; that counts.
    pub(crate) fn admit(&self, source: IpAddr, now: Instant) -> bool {
        if self.rate.per_second <= 0.0 {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST {
            // Who would have a full bucket by now is as good as new.
            let full = self.fill_time();
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < full);
            if buckets.len() >= MOST {
                buckets.clear();
            }
        }
        let burst = self.rate.burst.max(1.0);
        let bucket = buckets.entry(network(source)).or_insert(Bucket { left: burst, at: now });
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + since * self.rate.per_second).min(burst);
        bucket.at = now;
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }

    fn fill_time(&self) -> Duration {
        Duration::try_from_secs_f64(self.rate.burst / self.rate.per_second).unwrap_or(Duration::MAX)
    }
}

/// Whoever has an address of IPv6 has as many as a /64 holds.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_emptied_by_its_own_source_and_fills_again() {
        let buckets = Buckets::new(Rate { per_second: 10.0, burst: 3.0 });
        let (now, one) = (Instant::now(), "10.0.0.1".parse().unwrap());
        let admitted = |now| (0..100).filter(|_| buckets.admit(one, now)).count();
        assert_eq!(admitted(now), 3);
        assert!(buckets.admit("10.0.0.2".parse().unwrap(), now));
        assert!(!buckets.admit("::ffff:10.0.0.1".parse().unwrap(), now));
        assert_eq!(admitted(now + Duration::from_millis(200)), 2);
        assert_eq!(admitted(now + Duration::from_secs(60)), 3);
        let six = |last: &str| buckets.admit(format!("2001:db8::{last}").parse().unwrap(), now);
        assert_eq!(["1", "2", "3", "4"].map(six), [true, true, true, false], "one network");
    }

    #[test]
    fn nobody_is_held_up_without_a_limit_and_memory_has_an_end() {
        let free = Buckets::new(Rate { per_second: 0.0, burst: 0.0 });
        let now = Instant::now();
        assert!((0..1000).all(|_| free.admit("10.0.0.1".parse().unwrap(), now)));
        let buckets = Buckets::new(Rate::default());
        for number in 0..=u32::try_from(MOST).unwrap() {
            buckets.admit(std::net::Ipv4Addr::from_bits(number).into(), now);
        }
        assert!(buckets.buckets.lock().unwrap().len() <= MOST);
    }
}
