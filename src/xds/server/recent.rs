//! Assignments whose cluster changed lately.
//!
//! A client may have taken a changed cluster and lost its stream before the assignment came. The cluster then warms, and
//! the client comes back saying that it holds the assignment, which is true and no help: it must be sent again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use crate::protocol::assignments;
use crate::set::Diff;
use crate::slot::Slots;

/// How long a change counts as late: longer than Envoy's longest pause before it connects again (30 s).
const LATELY: Duration = Duration::from_secs(60);

/// So much later than this control plane another one may bring a change. A client that was there in between may have
/// lost that stream.
const LAG: Duration = Duration::from_secs(5);

/// So many differences are known by their address: streams of a class all bring the same one.
const KNOWN: usize = 16;

/// When the clusters of assignments last changed.
#[derive(Default)]
pub(super) struct Recent(RwLock<Noted>);

#[derive(Default)]
struct Noted {
    at: HashMap<Arc<str>, Duration>,
    known: VecDeque<Weak<Diff>>,
    /// The number of names at which old ones are thrown out.
    sweep_at: usize,
}

impl Recent {
    /// Notes a change of clusters.
    pub(super) fn note(&self, clusters: &Arc<Diff>, slots: &Slots, now: Duration) {
        let is_known =
            |noted: &Noted| noted.known.iter().any(|known| known.as_ptr() == Arc::as_ptr(clusters));
        if clusters.changed.is_empty() || is_known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let names: Vec<_> = assignments(&clusters.changed, slots).collect();
        let mut noted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // The weak pointer keeps the address from being given to another difference.
        noted.known.push_back(Arc::downgrade(clusters));
        if noted.known.len() > KNOWN {
            noted.known.pop_front();
        }
        noted.at.extend(names.into_iter().map(|name| (name, now)));
        if noted.at.len() > noted.sweep_at {
            noted.at.retain(|_, at| now.saturating_sub(*at) < LATELY);
            noted.sweep_at = (noted.at.len() * 2).max(1024);
        }
    }

    /// Whether a cluster of this assignment changed lately, so that it may warm at a client that had answered all at
    /// `settled_at`, if ever.
    pub(super) fn contains(&self, assignment: &str, settled_at: Option<Duration>, now: Duration) -> bool {
        let noted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let open = |at: Duration| settled_at.is_none_or(|settled| at + LAG > settled);
        noted.at.get(assignment).is_some_and(|at| now.saturating_sub(*at) < LATELY && open(*at))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{LAG, LATELY, Recent};
    use crate::encoded::Encoded;
    use crate::kind::ResourceType::Cluster;
    use crate::set::Diff;
    use crate::slot::Slots;

    /// A change of clusters of type EDS.
    fn change(names: impl IntoIterator<Item = String>) -> Arc<Diff> {
        let cluster = |name| Arc::new(Encoded::whole(Cluster, name, (&[0x10, 3][..]).into()));
        Arc::new(Diff { changed: names.into_iter().map(cluster).collect(), removed: Vec::new() })
    }

    #[test]
    fn a_change_is_remembered_for_a_while() {
        let (recent, slots) = (Recent::default(), Slots::default());
        let first = change(["a".to_owned()]);
        recent.note(&first, &slots, Duration::ZERO);
        assert!(recent.contains("a", None, LATELY / 2));
        assert!(!recent.contains("b", None, LATELY / 2));
        // The same change, seen by another stream, is no newer; another change is.
        recent.note(&first, &slots, LATELY / 2);
        assert!(!recent.contains("a", None, LATELY));
        recent.note(&change(["a".to_owned()]), &slots, LATELY / 2);
        assert!(recent.contains("a", None, LATELY));
    }

    #[test]
    fn a_change_that_was_answered_is_none_that_a_client_waits_for() {
        let (recent, slots) = (Recent::default(), Slots::default());
        recent.note(&change(["a".to_owned()]), &slots, LAG);
        assert!(!recent.contains("a", Some(LAG * 2), LATELY / 2));
        // Another control plane may have brought it after that.
        assert!(recent.contains("a", Some(LAG * 3 / 2), LATELY / 2));
        assert!(recent.contains("a", Some(Duration::ZERO), LATELY / 2));
    }

    #[test]
    fn old_names_are_thrown_out() {
        let recent = Recent::default();
        for round in 0..10 {
            let names = (0..1000).map(|n| format!("{round}-{n}"));
            recent.note(&change(names), &Slots::default(), LATELY * round);
        }
        assert!(recent.0.read().expect("lock").at.len() <= 2048);
    }
}
