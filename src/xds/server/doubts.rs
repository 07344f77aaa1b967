//! What clients may have without saying so when they come back.
//!
//! Envoy applies the good part of a response that it refuses, and all of one that it has not answered yet, but lists
//! neither among what it holds (spec/stock-envoy.md 3.6). A name that is gone by then could not be removed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kind::ResourceType;

/// How long a client is waited for; longer than Envoy's longest pause before it connects again (30 s).
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Names by type that a client may have.
type Names = BTreeMap<ResourceType, Vec<Arc<str>>>;

/// The names, by node id.
#[derive(Default)]
pub(super) struct Doubts(Mutex<BTreeMap<String, (Duration, Names)>>);

impl Doubts {
    /// Notes what a stream leaves open at its end.
    pub(super) fn leave(&self, node_id: &str, names: Names, now: Duration) {
        let mut doubts = self.lock();
        doubts.retain(|_, (since, _)| now.saturating_sub(*since) < KEPT_FOR);
        if names.values().all(Vec::is_empty) {
            return;
        }
        let (since, kept) = doubts.entry(node_id.to_owned()).or_default();
        *since = now;
        for (kind, names) in names {
            let kept = kept.entry(kind).or_default();
            kept.extend(names);
            kept.sort_unstable();
            kept.dedup();
        }
    }

    /// Takes what was left open by the last stream of this node.
    pub(super) fn take(&self, node_id: &str) -> Names {
        self.lock().remove(node_id).map(|(_, names)| names).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Duration, Names)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Doubts, KEPT_FOR, Names};
    use crate::kind::ResourceType::{Cluster, Listener};

    fn names(text: &str) -> Names {
        [(Cluster, text.split_whitespace().map(Arc::from).collect())].into()
    }

    #[test]
    fn doubts_add_up_are_taken_once_and_end() {
        let doubts = Doubts::default();
        let start = KEPT_FOR;
        doubts.leave("n", names("b a"), start);
        doubts.leave("n", names("b c"), start + KEPT_FOR / 2);
        doubts.leave("other", names("x"), start + KEPT_FOR / 2);
        doubts.leave("nothing", [(Listener, Vec::new())].into(), start + KEPT_FOR);
        assert_eq!(doubts.take("n"), names("a b c"));
        assert_eq!(doubts.take("n"), Names::new());
        doubts.leave("nothing", Names::new(), start + KEPT_FOR * 2);
        assert_eq!(doubts.take("other"), Names::new());
    }
}
