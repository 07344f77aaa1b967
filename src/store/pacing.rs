//! When the next mesh is made: endpoints at once, but for those that come in a stream; configuration when a burst has ended.
//!
//! Pure: time comes in as a span since some fixed moment.

use std::time::Duration;

use crate::next::Pending;

/// How long a burst of configuration is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A burst has ended when nothing came for so long (`PILOT_DEBOUNCE_AFTER`).
    pub quiet: Duration,
    /// It is not collected for longer than this (`PILOT_DEBOUNCE_MAX`).
    pub longest: Duration,
    /// Time between two meshes that are made for the sake of endpoints alone: a change that comes by itself goes at once,
    /// of a stream of changes what came meanwhile goes together. Each mesh costs a message to every proxy.
    pub endpoints: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let [quiet, longest, endpoints] = [10, 100, 40].map(Duration::from_millis);
        Self { quiet, longest, endpoints }
    }
}

/// Decides when what is pending goes into a mesh.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacing {
    limits: Limits,
    burst: Option<Burst>,
    /// When the first endpoints came that wait.
    urgent: Option<Duration>,
    /// When endpoints last went into a mesh.
    sent: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Duration,
    last: Duration,
}

impl Pacing {
    /// With nothing pending.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Objects were applied at `now`, and this is what they left pending.
    pub fn applied(&mut self, pending: Option<Pending>, now: Duration) {
        match pending {
            None => {}
            Some(Pending::Endpoints) => self.urgent = self.urgent.or(Some(now)),
            Some(Pending::Configuration) => {
                let first = self.burst.map_or(now, |b| b.first);
                self.burst = Some(Burst { first, last: now });
            }
        }
    }

    /// When the next mesh is due, and what goes into it; none if nothing is pending. Endpoints do not wait for a
    /// burst of configuration to end.
    pub fn deadline(&self, now: Duration) -> Option<(Duration, Pending)> {
        let burst = self.burst.map(|b| (b.last + self.limits.quiet).min(b.first + self.limits.longest));
        let free = self.sent.map_or(Duration::ZERO, |sent| sent + self.limits.endpoints);
        let endpoints = self.urgent.map(|_| free.max(now));
        match (endpoints, burst) {
            (_, Some(due)) if due <= now => Some((due, Pending::Configuration)),
            (Some(free), Some(due)) if due <= free => Some((due, Pending::Configuration)),
            (Some(free), _) => Some((free, Pending::Endpoints)),
            (None, due) => due.map(|due| (due, Pending::Configuration)),
        }
    }

    /// What was pending of this kind goes into a mesh at `now`. Returns the age of the oldest of it.
    pub fn taken(&mut self, what: Pending, now: Duration) -> Duration {
        let endpoints = self.urgent.take();
        self.sent = endpoints.map(|_| now).or(self.sent);
        let first = match what {
            Pending::Configuration => self.burst.take().map(|b| b.first).into_iter().chain(endpoints).min(),
            Pending::Endpoints => endpoints,
        };
        first.map_or(Duration::ZERO, |first| now.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn endpoints_go_at_once() {
        let mut pacing = Pacing::default();
        pacing.applied(Some(Pending::Endpoints), ms(5));
        assert_eq!(pacing.deadline(ms(5)), Some((ms(5), Pending::Endpoints)));
        assert_eq!(pacing.taken(Pending::Endpoints, ms(7)), ms(2));
        assert_eq!(pacing.deadline(ms(7)), None);
    }

    #[test]
    fn a_burst_ends_when_it_is_quiet_or_too_long() {
        let mut pacing = Pacing::default();
        pacing.applied(Some(Pending::Configuration), ms(0));
        assert_eq!(pacing.deadline(ms(0)), Some((ms(10), Pending::Configuration)));
        for at in (5..=95).step_by(5) {
            pacing.applied(Some(Pending::Configuration), ms(at));
        }
        assert_eq!(pacing.deadline(ms(95)), Some((ms(100), Pending::Configuration)));
    }

    #[test]
    fn a_stream_of_endpoints_goes_together() {
        let mut pacing = Pacing::default();
        pacing.applied(Some(Pending::Endpoints), ms(0));
        pacing.taken(Pending::Endpoints, ms(0));
        for at in [10, 20, 30] {
            pacing.applied(Some(Pending::Endpoints), ms(at));
            assert_eq!(pacing.deadline(ms(at)), Some((ms(40), Pending::Endpoints)));
        }
        assert_eq!(pacing.taken(Pending::Endpoints, ms(40)), ms(30));
        pacing.applied(Some(Pending::Endpoints), ms(200));
        assert_eq!(pacing.deadline(ms(200)), Some((ms(200), Pending::Endpoints)));
    }

    #[test]
    fn a_burst_that_ends_takes_the_endpoints_that_wait_along() {
        let mut pacing = Pacing::default();
        pacing.applied(Some(Pending::Endpoints), ms(0));
        pacing.taken(Pending::Endpoints, ms(0));
        pacing.applied(Some(Pending::Endpoints), ms(5));
        pacing.applied(Some(Pending::Configuration), ms(6));
        assert_eq!(pacing.deadline(ms(6)), Some((ms(16), Pending::Configuration)));
        assert_eq!(pacing.taken(Pending::Configuration, ms(16)), ms(11));
        assert_eq!(pacing.deadline(ms(16)), None);
    }

    #[test]
    fn endpoints_do_not_wait_for_a_burst() {
        let mut pacing = Pacing::default();
        pacing.applied(Some(Pending::Configuration), ms(0));
        pacing.applied(Some(Pending::Endpoints), ms(1));
        assert_eq!(pacing.deadline(ms(1)), Some((ms(1), Pending::Endpoints)));
        pacing.taken(Pending::Endpoints, ms(1));
        assert_eq!(pacing.deadline(ms(1)), Some((ms(10), Pending::Configuration)));
    }

    #[test]
    fn nothing_pending_is_never_due() {
        let mut pacing = Pacing::default();
        pacing.applied(None, ms(1));
        assert_eq!(pacing.deadline(ms(1)), None);
    }
}
