//! Make before break: which part of a change waits for the client's answer to which other part (design 3.9).
//!
//! Clusters that are new or changed go first, their assignments right behind them. Listeners, routes and
//! extension configurations follow when the clusters are acknowledged. What goes away goes last, when all that
//! named it is replaced. Each wait ends at a limit.

use std::time::Duration;

use crate::kind::ResourceType;

/// Half of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// New and changed resources.
    Change,
    /// Resources that go away.
    Removal,
}

impl Step {
    /// A label for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Removal => "removal",
        }
    }
}

/// How long one part of a change waits for another, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Listeners and routes for the acknowledgement of clusters.
    pub clusters: Duration,
    /// Removals for the acknowledgement of what replaces them.
    pub removals: Duration,
    /// How long the answers to listeners and routes must be quiet before a removal goes: a listener that was
    /// acknowledged asks for its new routes a moment later and serves with its old ones until they come.
    pub settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clusters: Duration::from_secs(5),
            removals: Duration::from_secs(10),
            settle: Duration::from_secs(1),
        }
    }
}

/// What of another type must be sent and answered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// New and changed resources.
    Changes,
    /// Removals.
    Removals,
    /// Both, and accepted rather than refused.
    Everything,
}

/// One row of the order.
#[derive(Debug)]
pub(super) struct Rule {
    /// What comes first.
    pub(super) after: &'static [(ResourceType, Part)],
    /// What is waited for, in words for `/debug` and logs.
    pub(super) name: &'static str,
    limit: fn(&Limits) -> Duration,
    /// Whether the answers must have been quiet for [`Limits::settle`].
    pub(super) settles: bool,
    /// Whether what the client asked for waits too.
    pub(super) asked_waits: bool,
}

impl Rule {
    /// The longest wait.
    pub(super) fn limit(&self, limits: &Limits) -> Duration {
        (self.limit)(limits)
    }
}

const AFTER_CLUSTERS: Rule = Rule {
    after: &[(ResourceType::Cluster, Part::Changes)],
    name: "waits for the acknowledgement of clusters",
    limit: |limits| limits.clusters,
    settles: false,
    asked_waits: true,
};

const CLUSTER_REMOVAL: Rule = Rule {
    after: &[
        (ResourceType::Listener, Part::Everything),
        (ResourceType::Route, Part::Everything),
        (ResourceType::ExtensionConfig, Part::Everything),
    ],
    name: "removal waits for the acknowledgement of listeners and routes",
    limit: |limits| limits.removals,
    settles: true,
    asked_waits: false,
};

const ENDPOINTS_REMOVAL: Rule = Rule {
    after: &[(ResourceType::Cluster, Part::Removals)],
    name: "removal waits for the removal of clusters",
    limit: |limits| limits.removals,
    settles: false,
    asked_waits: false,
};

const ROUTE_REMOVAL: Rule = Rule {
    after: &[(ResourceType::Listener, Part::Everything)],
    name: "removal waits for the acknowledgement of listeners",
    limit: |limits| limits.removals,
    settles: true,
    asked_waits: true,
};

/// What a step of a type waits for; `None` if it never waits.
pub(super) const fn rule(kind: ResourceType, step: Step) -> Option<&'static Rule> {
    match (kind, step) {
        (ResourceType::Listener, _) | (ResourceType::Route | ResourceType::ExtensionConfig, Step::Change) => {
            Some(&AFTER_CLUSTERS)
        }
        (ResourceType::Cluster, Step::Removal) => Some(&CLUSTER_REMOVAL),
        (ResourceType::Endpoints, Step::Removal) => Some(&ENDPOINTS_REMOVAL),
        (ResourceType::Route, Step::Removal) => Some(&ROUTE_REMOVAL),
        (ResourceType::Cluster | ResourceType::Endpoints, Step::Change)
        | (ResourceType::Secret | ResourceType::NameTable | ResourceType::ProxyConfig, _)
        | (ResourceType::ExtensionConfig, Step::Removal) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Step, rule};
    use crate::kind::ResourceType;

    #[test]
    fn nothing_waits_in_a_circle() {
        // A step may only wait for steps from which no path leads back to it.
        let steps = |kind| [(kind, Step::Change), (kind, Step::Removal)];
        for start in ResourceType::ALL.into_iter().flat_map(steps) {
            let (mut seen, mut open) = (Vec::new(), vec![start]);
            while let Some((kind, step)) = open.pop() {
                for &(other, part) in rule(kind, step).map_or(&[][..], |rule| rule.after) {
                    let next = match part {
                        super::Part::Changes => vec![(other, Step::Change)],
                        super::Part::Removals => vec![(other, Step::Removal)],
                        // A removal in a type that goes whole waits as its changes do.
                        super::Part::Everything => vec![(other, Step::Change)],
                    };
                    for step in next {
                        assert_ne!(step, start, "{start:?} waits for itself");
                        if !seen.contains(&step) {
                            seen.push(step);
                            open.push(step);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn endpoints_and_secrets_never_wait_and_every_wait_ends() {
        for kind in [ResourceType::Endpoints, ResourceType::Secret, ResourceType::Cluster] {
            assert!(rule(kind, Step::Change).is_none(), "{kind}");
        }
        for kind in ResourceType::ALL {
            for rule in [Step::Change, Step::Removal].into_iter().filter_map(|step| rule(kind, step)) {
                assert!(rule.limit(&Limits::default()).as_secs() <= 10, "{kind} {}", rule.name);
            }
        }
    }
}
