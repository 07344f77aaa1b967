//! Annotations of a WorkloadEntry that tell who its workload is connected to, and what follows from them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The group that the entry was made of.
pub(super) const GROUP: &str = "istio.io/autoRegistrationGroup";
/// The replica that the workload is, or was last, connected to.
pub(super) const CONTROLLER: &str = "istio.io/workloadController";
/// Since when.
pub(super) const CONNECTED: &str = "istio.io/connectedAt";
/// Since when no longer.
pub(super) const DISCONNECTED: &str = "istio.io/disconnectedAt";
/// The workload's proxy tells of its health; `true`: what it tells counts.
pub(super) const HEALTH_CHECKED: &str = "proxy.istio.io/health-checks-enabled";

/// Annotations of an entry.
pub(super) type Annotations = BTreeMap<String, String>;

fn time(annotations: &Annotations, key: &str) -> Option<Timestamp> {
    annotations.get(key)?.parse().ok()
}

/// The annotations that tell that the workload connected to a replica.
pub(super) fn connected(controller: &str, at: Timestamp) -> [(&'static str, Value); 3] {
    [(CONTROLLER, json!(controller)), (CONNECTED, json!(at.to_string())), (DISCONNECTED, Value::Null)]
}

/// What changes when a workload connected to this replica; nothing if something newer is written, or this is.
pub(super) fn connect(annotations: &Annotations, controller: &str, at: Timestamp) -> Option<Value> {
    let gone_since = time(annotations, DISCONNECTED).is_some_and(|gone| at < gone);
    let last = time(annotations, CONNECTED);
    let ours = annotations.get(CONTROLLER).is_some_and(|c| c == controller);
    let written = last.is_some_and(|last| at < last || (ours && at == last));
    (!gone_since && !written).then(|| Value::from_iter(connected(controller, at)))
}

/// What changes when the workload that connected to this replica at `since` is gone; nothing if it has come back, here
/// or elsewhere.
pub(super) fn disconnect(
    annotations: &Annotations,
    controller: &str,
    since: Timestamp,
    at: Timestamp,
) -> Option<Value> {
    let came_back = time(annotations, CONNECTED).is_some_and(|last| since < last || at < last);
    let ours = annotations.get(CONTROLLER).is_some_and(|c| c == controller);
    (ours && !came_back).then(|| json!({CONNECTED: null, DISCONNECTED: at.to_string()}))
}

/// What becomes of an entry that nobody is connected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// It was made for the workload: it goes.
    Delete,
    /// Somebody wrote it: what was told of its health is forgotten.
    ForgetHealth,
}

/// Whether an entry's workload has gone and not come back. `told`: something is known of its health.
pub(super) fn expired(
    annotations: &Annotations,
    told: bool,
    now: Timestamp,
    (grace, max_age): (Duration, Option<Duration>),
) -> Option<Expired> {
    let has = |key: &str| annotations.get(key).is_some_and(|value| !value.is_empty());
    let expired = match (has(GROUP), has(CONTROLLER) && told) {
        (true, _) => Expired::Delete,
        (false, true) => Expired::ForgetHealth,
        (false, false) => return None,
    };
    let age = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
    if has(CONNECTED) {
        // Half as much again as a connection may last: the replica has ended without a word.
        let longest = max_age?.saturating_mul(3) / 2;
        return time(annotations, CONNECTED).filter(|at| age(*at) > longest).map(|_| expired);
    }
    let gone = has(DISCONNECTED) && time(annotations, DISCONNECTED).is_none_or(|at| age(at) >= grace);
    gone.then_some(expired)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: (Duration, Option<Duration>) = (Duration::from_secs(10), None);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    fn marks(pairs: &[(&str, &str)]) -> Annotations {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// The annotations after a change; none if there is none.
    fn after(annotations: &Annotations, change: Option<Value>) -> Option<Annotations> {
        let mut new = json!(annotations);
        json_patch::merge(&mut new, &change?);
        serde_json::from_value(new).ok()
    }

    #[test]
    fn a_workload_that_moves_to_another_replica_is_the_others() {
        let made = marks(&[(GROUP, "vms")]);
        let a = after(&made, connect(&made, "a", at(1))).expect("a change");
        assert_eq!(connect(&a, "a", at(1)), None, "that is written already");
        let b = after(&a, connect(&a, "b", at(5))).expect("a change");
        assert_eq!((b[CONTROLLER].as_str(), b.get(DISCONNECTED)), ("b", None));
        assert_eq!(disconnect(&b, "a", at(1), at(6)), None, "the first replica hears of the end later");
        assert_eq!(connect(&b, "a", at(1)), None, "or of the beginning");
        let gone = after(&b, disconnect(&b, "b", at(5), at(9))).expect("a change");
        assert_eq!((gone.get(CONNECTED), gone[CONTROLLER].as_str()), (None, "b"));
        assert_eq!(connect(&gone, "b", at(8)), None, "what ended before it was written");
        assert!(connect(&gone, "a", at(12)).is_some());
    }

    #[test]
    fn the_end_of_an_old_stream_is_not_that_of_the_new_one() {
        let marks = marks(&[(CONTROLLER, "a"), (CONNECTED, &at(5).to_string())]);
        assert_eq!(disconnect(&marks, "a", at(1), at(6)), None);
        assert_eq!(disconnect(&marks, "a", at(5), at(4)), None);
        assert!(disconnect(&marks, "a", at(5), at(6)).is_some());
    }

    #[test]
    fn entries_expire_when_nobody_came_back_in_time() {
        let gone = at(0).to_string();
        let made = marks(&[(GROUP, "vms"), (CONTROLLER, "a"), (DISCONNECTED, &gone)]);
        assert_eq!(expired(&made, false, at(9), GRACE), None);
        assert_eq!(expired(&made, false, at(10), GRACE), Some(Expired::Delete));
        let written = marks(&[(CONTROLLER, "a"), (DISCONNECTED, &gone)]);
        assert_eq!(expired(&written, false, at(10), GRACE), None, "nothing is known of its health");
        assert_eq!(expired(&written, true, at(10), GRACE), Some(Expired::ForgetHealth));
        let never = marks(&[(DISCONNECTED, &gone)]);
        assert_eq!(expired(&never, true, at(99), GRACE), None, "somebody else's");
        let back = marks(&[(GROUP, "vms"), (DISCONNECTED, &gone), (CONNECTED, &at(2).to_string())]);
        assert_eq!(expired(&back, false, at(999), GRACE), None);
        let bounded = (GRACE.0, Some(Duration::from_secs(100)));
        assert_eq!(expired(&back, false, at(152), bounded), None);
        assert_eq!(expired(&back, false, at(153), bounded), Some(Expired::Delete), "its replica is dead");
    }
}
