//! Assignments whose cluster changed lately.
//!
//! A client may have taken a changed cluster and lost its stream before the assignment came. The cluster then warms, and
//! the client comes back saying that it holds the assignment, which is true and no help: it must be sent again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a change counts as late: longer than Envoy's longest pause before it connects again (30 s).
const LATELY: Duration = Duration::from_secs(60);

/// A name that was noted is noted again after this time only: streams of a class all bring the same names.
const FRESH: Duration = Duration::from_secs(5);

/// When the clusters of assignments last changed.
#[derive(Default)]
pub(super) struct Recent(RwLock<Noted>);

#[derive(Default)]
struct Noted {
    at: HashMap<Arc<str>, Duration>,
    /// The number of names at which old ones are thrown out.
    sweep_at: usize,
}

impl Recent {
    /// Notes that clusters of these assignments changed.
    pub(super) fn note(&self, assignments: impl Iterator<Item = Arc<str>>, now: Duration) {
        let stale: Vec<_> = {
            let noted = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let fresh =
                |name: &Arc<str>| noted.at.get(name).is_some_and(|at| now.saturating_sub(*at) < FRESH);
            assignments.filter(|name| !fresh(name)).collect()
        };
        if stale.is_empty() {
            return;
        }
        let mut noted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        noted.at.extend(stale.into_iter().map(|name| (name, now)));
        if noted.at.len() > noted.sweep_at {
            noted.at.retain(|_, at| now.saturating_sub(*at) < LATELY);
            noted.sweep_at = (noted.at.len() * 2).max(1024);
        }
    }

    /// Whether a cluster of this assignment changed lately.
    pub(super) fn contains(&self, assignment: &str, now: Duration) -> bool {
        let noted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        noted.at.get(assignment).is_some_and(|at| now.saturating_sub(*at) < LATELY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{LATELY, Recent};

    #[test]
    fn a_change_is_remembered_for_a_while() {
        let recent = Recent::default();
        recent.note([Arc::from("a")].into_iter(), Duration::ZERO);
        assert!(recent.contains("a", LATELY / 2));
        assert!(!recent.contains("b", LATELY / 2));
        assert!(!recent.contains("a", LATELY));
        recent.note([Arc::from("a")].into_iter(), LATELY / 2);
        assert!(recent.contains("a", LATELY));
    }

    #[test]
    fn old_names_are_thrown_out() {
        let recent = Recent::default();
        for round in 0..10 {
            let names = (0..1000).map(|n| Arc::from(format!("{round}-{n}")));
            recent.note(names, LATELY * round);
        }
        assert!(recent.0.read().expect("lock").at.len() <= 2048);
    }
}
