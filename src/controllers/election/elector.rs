//! What follows from a lock's record that was seen, and when it was seen to change. Pure: time is a value.
//!
//! Whether a record is over is judged by how long it has not changed for this replica, never by the times in it: the
//! clocks of replicas differ.

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::record::Record;
use super::{Candidate, Timing};

/// Before a revision: its replica runs outside of the cluster.
const REMOTE: char = '^';

/// Whose a lock is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// To be taken: nobody's, another's whose time is over, or of one who has to give way.
    Free,
    /// This replica's.
    Mine,
    /// Another's, until then unless it is renewed.
    Held(Instant),
}

/// One replica's view of one lock.
#[derive(Debug)]
pub(crate) struct Elector {
    identity: String,
    revision: String,
    remote: bool,
    /// Whether some revisions go before others.
    prioritised: bool,
    timing: Timing,
    seen: Option<(Record, Instant)>,
}

impl Elector {
    pub(crate) fn new(candidate: &Candidate, prioritised: bool) -> Self {
        Self {
            identity: candidate.identity.to_string(),
            revision: candidate.revision.to_string(),
            remote: candidate.remote,
            prioritised,
            timing: candidate.timing,
            seen: None,
        }
    }

    /// Takes what is recorded now.
    pub(crate) fn see(&mut self, record: Record, now: Instant) {
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record, now));
        }
    }

    /// The record that was last seen.
    pub(crate) fn record(&self) -> Record {
        self.seen.as_ref().map(|(record, _)| record.clone()).unwrap_or_default()
    }

    /// Whose the lock is.
    pub(crate) fn standing(&self, default_revision: Option<&str>, now: Instant) -> Standing {
        let Some((record, at)) = &self.seen else { return Standing::Free };
        let until = *at + self.timing.lease;
        match record.holder_identity.as_str() {
            "" => Standing::Free,
            holder if holder == self.identity => Standing::Mine,
            _ if until <= now || self.goes_before(&record.holder_key, default_revision) => Standing::Free,
            _ => Standing::Held(until),
        }
    }

    /// Whether this replica takes the lock from a holder that is alive.
    fn goes_before(&self, holder_key: &str, default_revision: Option<&str>) -> bool {
        if !self.prioritised {
            return false;
        }
        let (revision, remote) = match holder_key.strip_prefix(REMOTE) {
            Some(revision) => (revision, true),
            None => (holder_key, false),
        };
        if revision == self.revision {
            return remote && !self.remote;
        }
        default_revision == Some(&self.revision)
    }

    /// The record by which this replica takes the lock, or keeps it.
    pub(crate) fn claim(&self, now: Timestamp) -> Record {
        let old = self.record();
        let mine = old.holder_identity == self.identity;
        let remote = if self.remote { REMOTE.to_string() } else { String::new() };
        Record {
            holder_identity: self.identity.clone(),
            holder_key: if self.prioritised { remote + &self.revision } else { String::new() },
            lease_duration_seconds: i32::try_from(self.timing.lease.as_secs()).unwrap_or(i32::MAX),
            acquire_time: if mine { old.acquire_time } else { Some(Time(now)) },
            renew_time: Some(Time(now)),
            leader_transitions: if mine || self.seen.is_none() {
                old.leader_transitions
            } else {
                old.leader_transitions.saturating_add(1)
            },
        }
    }

    /// The record by which this replica gives the lock back.
    pub(crate) fn release(&self, now: Timestamp) -> Record {
        Record {
            lease_duration_seconds: 1,
            acquire_time: Some(Time(now)),
            renew_time: Some(Time(now)),
            leader_transitions: self.record().leader_transitions,
            ..Record::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn elector(revision: &str, remote: bool, prioritised: bool) -> Elector {
        let candidate = Candidate {
            namespace: "istio-system".into(),
            identity: "me".into(),
            revision: revision.into(),
            remote,
            enabled: true,
            timing: Timing::default(),
        };
        Elector::new(&candidate, prioritised)
    }

    fn held(by: &str, key: &str) -> Record {
        Record {
            holder_identity: by.to_owned(),
            holder_key: key.to_owned(),
            leader_transitions: 4,
            ..Record::default()
        }
    }

    #[test]
    fn a_record_is_over_when_it_was_not_seen_to_change_for_a_lease() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut me = elector("default", false, true);
        assert_eq!(me.standing(None, start), Standing::Free);
        me.see(held("other", "default"), start);
        me.see(held("other", "default"), start + 20 * second);
        assert_eq!(me.standing(None, start + 29 * second), Standing::Held(start + 30 * second));
        assert_eq!(me.standing(None, start + 30 * second), Standing::Free);
        // Renewed, by whatever clock.
        let renewed = Record { renew_time: Some(Time(Timestamp::UNIX_EPOCH)), ..held("other", "default") };
        me.see(renewed, start + 30 * second);
        assert_eq!(me.standing(None, start + 31 * second), Standing::Held(start + 60 * second));
        me.see(held("", ""), start + 31 * second);
        assert_eq!(me.standing(None, start + 31 * second), Standing::Free);
        me.see(held("me", "default"), start + 31 * second);
        assert_eq!(me.standing(None, start + 31 * second), Standing::Mine);
    }

    #[test]
    fn the_default_revision_goes_first_and_then_who_is_inside() {
        // Own revision, whether outside, the holder's key, the default revision: whether it is taken.
        let cases = [
            ("default", false, "canary", Some("default"), true),
            ("default", false, "^canary", Some("default"), true),
            ("default", true, "canary", Some("default"), true),
            ("canary", false, "default", Some("default"), false),
            ("canary", false, "default", Some("canary"), true),
            ("canary", false, "other", None, false),
            ("canary", false, "", Some("canary"), true),
            ("default", false, "default", Some("default"), false),
            ("default", false, "^default", Some("default"), true),
            ("canary", false, "^canary", None, true),
            ("canary", true, "^canary", None, false),
            ("canary", true, "canary", None, false),
        ];
        for (revision, remote, key, default, taken) in cases {
            let mut me = elector(revision, remote, true);
            let now = Instant::now();
            me.see(held("other", key), now);
            let free = me.standing(default, now) == Standing::Free;
            assert_eq!(free, taken, "{revision}, outside: {remote}, from {key}, default {default:?}");
            let mut equal = elector(revision, remote, false);
            equal.see(held("other", key), now);
            assert_ne!(equal.standing(default, now), Standing::Free, "no priorities");
        }
    }

    #[test]
    fn holders_are_counted_and_who_keeps_a_lock_keeps_its_time() {
        let (now, later) =
            (Timestamp::from_second(1000).expect("a time"), Timestamp::from_second(2000).expect("a time"));
        let mut me = elector("default", true, true);
        let first = me.claim(now);
        assert_eq!((first.leader_transitions, first.holder_key.as_str()), (0, "^default"));
        me.see(held("other", "default"), Instant::now());
        let taken = me.claim(now);
        assert_eq!((taken.leader_transitions, taken.lease_duration_seconds), (5, 30));
        me.see(taken, Instant::now());
        let kept = me.claim(later);
        assert_eq!((kept.leader_transitions, kept.acquire_time), (5, Some(Time(now))));
        assert_eq!(kept.renew_time, Some(Time(later)));
        let released = me.release(later);
        assert_eq!((released.holder_identity.as_str(), released.leader_transitions), ("", 5));
        assert_eq!(elector("canary", false, false).claim(now).holder_key, "");
    }
}
