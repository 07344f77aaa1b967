//! The clock at the rim: time since the server's start for the protocol, and the wall's time for people.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A start in time. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), wall: SystemTime::now() }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The instant at which this much time has passed since the start.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.start + at
    }

    /// The wall's time at which this much time has passed since the start, changes of the wall's clock left out.
    pub(crate) fn wall(&self, at: Duration) -> SystemTime {
        self.wall + at
    }
}
