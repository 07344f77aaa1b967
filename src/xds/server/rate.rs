//! The limit on new streams per second: a stream waits for its turn, but not for long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::status::Status;

/// A client that would wait longer is told to come back (spec/operations.md 6.3).
const PATIENCE: Duration = Duration::from_secs(1);

/// Gives turns at even distances.
pub(super) struct Rate {
    /// Time from one turn to the next; `None` without a limit.
    interval: Option<Duration>,
    /// When the next turn is free.
    next: Mutex<Duration>,
}

impl Rate {
    /// A limit of this many per second; none, or no positive number, for no limit.
    pub(super) fn new(per_second: Option<f64>) -> Self {
        let positive = per_second.filter(|rate| *rate > 0.0);
        let interval = positive.and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok());
        Self { interval, next: Mutex::new(Duration::ZERO) }
    }

    /// When a stream that comes now may go on.
    ///
    /// # Errors
    /// Its turn is too far away.
    pub(super) fn turn(&self, now: Duration) -> Result<Duration, Status> {
        let Some(interval) = self.interval else { return Ok(now) };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        if turn - now > PATIENCE {
            return Err(Status::resource_exhausted("request rate limit exceeded"));
        }
        *next = turn + interval;
        Ok(turn)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rate;

    #[test]
    fn turns_have_a_distance_and_who_would_wait_too_long_is_sent_away() {
        let rate = Rate::new(Some(2.0));
        let (ms, now) = (Duration::from_millis, Duration::from_secs(5));
        assert_eq!(rate.turn(now), Ok(now));
        assert_eq!(rate.turn(now), Ok(now + ms(500)));
        assert_eq!(rate.turn(now), Ok(now + ms(1000)));
        assert_eq!(rate.turn(now).expect_err("too far").code, 8);
        assert_eq!(rate.turn(now + ms(600)), Ok(now + ms(1500)));
    }

    #[test]
    fn without_a_limit_all_go_at_once() {
        for unlimited in [None, Some(0.0), Some(-1.0), Some(f64::NAN)] {
            let rate = Rate::new(unlimited);
            for _ in 0..100 {
                assert_eq!(rate.turn(Duration::ZERO), Ok(Duration::ZERO));
            }
        }
    }
}
