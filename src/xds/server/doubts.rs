//! What is known of clients that went, for when they come back.
//!
//! Envoy applies the good part of a response that it refuses, and all of one that it has not answered yet, but lists
//! neither among what it holds (spec/stock-envoy.md 3.6). A name that is gone by then could not be removed.
//!
//! A client that had answered all has no cluster that waits for its assignment, whatever changed before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kind::ResourceType;

/// How long a client is waited for; longer than Envoy's longest pause before it connects again (30 s).
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Names by type that a client may have.
pub(super) type Names = BTreeMap<ResourceType, Vec<Arc<str>>>;

/// What the last streams of one node left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Names that the client may have without saying so.
    pub(super) names: Names,
    /// When the last stream ended, if the client had answered all clusters and assignments by then.
    pub(super) settled_at: Option<Duration>,
}

impl Left {
    /// The names of one type.
    pub(super) fn of(&self, kind: ResourceType) -> &[Arc<str>] {
        self.names.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Adds what a later stream leaves.
    fn add(&mut self, later: Self) {
        self.settled_at = later.settled_at;
        for (kind, names) in later.names {
            let kept = self.names.entry(kind).or_default();
            kept.extend(names);
            kept.sort_unstable();
            kept.dedup();
        }
    }
}

/// What streams left, by node id.
#[derive(Default)]
pub(super) struct Doubts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    left: BTreeMap<String, (Duration, Left)>,
    /// The number of nodes at which old ones are thrown out.
    sweep_at: usize,
}

impl Doubts {
    /// Notes what a stream leaves at its end.
    pub(super) fn leave(&self, node_id: &str, left: Left, now: Duration) {
        let mut kept = self.lock();
        let (since, before) = kept.left.entry(node_id.to_owned()).or_default();
        *since = now;
        before.add(left);
        if kept.left.len() > kept.sweep_at {
            kept.left.retain(|_, (since, _)| now.saturating_sub(*since) < KEPT_FOR);
            kept.sweep_at = (kept.left.len() * 2).max(1024);
        }
    }

    /// Takes what the last streams of this node left, unless that is too long ago.
    pub(super) fn take(&self, node_id: &str, now: Duration) -> Left {
        let left = self.lock().left.remove(node_id);
        left.filter(|(since, _)| now.saturating_sub(*since) < KEPT_FOR)
            .map(|(_, left)| left)
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Doubts, KEPT_FOR, Left};
    use crate::kind::ResourceType::Cluster;

    fn left(names: &str, settled_at: Option<Duration>) -> Left {
        let names = [(Cluster, names.split_whitespace().map(Arc::from).collect())].into();
        Left { names, settled_at }
    }

    #[test]
    fn doubts_add_up_are_taken_once_and_end() {
        let doubts = Doubts::default();
        let start = KEPT_FOR;
        doubts.leave("n", left("b a", None), start);
        doubts.leave("n", left("b c", None), start + KEPT_FOR / 2);
        doubts.leave("other", left("x", None), start + KEPT_FOR / 2);
        assert_eq!(doubts.take("n", start + KEPT_FOR), left("a b c", None));
        assert_eq!(doubts.take("n", start + KEPT_FOR), Left::default());
        assert_eq!(doubts.take("other", start + KEPT_FOR * 2), Left::default());
    }

    #[test]
    fn the_last_stream_says_whether_all_was_answered() {
        let doubts = Doubts::default();
        let (first, second) = (Duration::from_secs(1), Duration::from_secs(2));
        doubts.leave("n", left("", Some(first)), first);
        doubts.leave("n", left("", Some(second)), second);
        assert_eq!(doubts.take("n", second).settled_at, Some(second));
        doubts.leave("n", left("", Some(first)), first);
        doubts.leave("n", left("", None), second);
        assert_eq!(doubts.take("n", second).settled_at, None);
    }

    #[test]
    fn nodes_that_do_not_come_back_are_thrown_out() {
        let doubts = Doubts::default();
        for round in 0..10 {
            for node in 0..1000 {
                doubts.leave(&format!("{round}-{node}"), Left::default(), KEPT_FOR * round);
            }
        }
        assert!(doubts.lock().left.len() <= 2048);
    }
}
