//! Rules of one host in one namespace: which become one, and what of each counts.
//!
//! Source: Istio `pilot/pkg/model/destination_rule.go`; `shared/spec/xds.md` 2.6, `observed.md` 15.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::istio::{DestinationRule, MatchLabels};
use api::{ObjectRef, Problem, Severity};
use model::mesh::{MergedRule, Settings};
use model::visibility::ExportTo;
use model::{Config, Ref};

const PRIVATE: &str = ".";
const EVERYBODY: &str = "*";

/// A rule in the making.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    rule: Config<DestinationRule>,
    from: Vec<ObjectRef>,
    /// `exportTo` as it was written: rules merge by its words.
    words: BTreeSet<String>,
    /// Who sees it among the rules that its namespace exports.
    pub(super) export_to: ExportTo,
    /// Whether clients of its own namespace look at it first of all.
    pub(super) local: bool,
}

impl Merged {
    /// A rule on its own. One with a selector is seen by its own namespace only.
    pub(super) fn new(object: &Ref<Config<DestinationRule>>, settings: &Settings) -> Self {
        let private = [PRIVATE.to_owned()];
        let words: BTreeSet<String> = match object.spec.workload_selector {
            Some(_) => private.into(),
            None => object.spec.export_to.iter().cloned().collect(),
        };
        let local = words.is_empty() || words.contains(EVERYBODY) || names_own(&words, object.namespace());
        Self {
            rule: (**object).clone(),
            from: vec![object.source.clone()],
            export_to: export_to(&words, object.namespace(), settings),
            words,
            local,
        }
    }

    pub(super) fn finish(self) -> MergedRule {
        MergedRule { rule: Ref::new(self.rule), from: self.from, export_to: self.export_to }
    }

    fn selector(&self) -> Option<&MatchLabels> {
        self.rule.spec.workload_selector.as_ref()
    }

    /// Takes what `later` has and this has not: subsets by name, the policy as a whole.
    fn absorb(&mut self, later: &Self, problems: &mut Vec<Problem>) {
        let spec = &mut self.rule.spec;
        for (at, subset) in later.rule.spec.subsets.iter().enumerate() {
            if spec.subsets.iter().any(|s| s.name == subset.name) {
                problems.push(repeated_subset(&later.rule, at, &subset.name, &self.from));
            } else {
                spec.subsets.push(subset.clone());
            }
        }
        if spec.traffic_policy.is_none() {
            spec.traffic_policy.clone_from(&later.rule.spec.traffic_policy);
        }
        self.from.extend(later.from.iter().cloned());
    }
}

/// Who sees a rule that says this of its export.
///
/// Of the mesh's default only the word for the own namespace counts, whatever stands beside it; without that word the
/// rule is everybody's. A rule that names its own namespace alone is private; beside other namespaces `.` only makes it
/// one of those that its own namespace looks at first.
fn export_to(words: &BTreeSet<String>, own: &Arc<str>, settings: &Settings) -> ExportTo {
    let default = &settings.mesh.default_destination_rule_export_to;
    let private = match words.len() {
        0 => default.iter().any(|word| word == PRIVATE),
        1 => names_own(words, own),
        _ => false,
    };
    if private {
        return ExportTo::Namespaces(BTreeSet::from([Arc::clone(own)]));
    }
    let others: Vec<&String> = words.iter().filter(|word| *word != PRIVATE).collect();
    ExportTo::named(&others, own)
}

fn names_own(words: &BTreeSet<String>, own: &Arc<str>) -> bool {
    words.contains(PRIVATE) || words.contains(&**own)
}

/// Adds a rule to those of its host: into every one that it fits, and on its own if the last that was looked at asks
/// for it. Clients that see both it and the one that it is part of mean the latter, which so stays behind it: the last
/// that a client sees counts. (The reference drops the rule for all clients that do not see the other.)
pub(super) fn add(rules: &mut Vec<Merged>, rule: Merged, problems: &mut Vec<Problem>) {
    let mut apart = true;
    let mut before = None;
    for (at, known) in rules.iter_mut().enumerate() {
        apart = rule.words != known.words;
        if apart && (known.words.is_empty() || !rule.words.is_superset(&known.words)) {
            continue;
        }
        if let (Some(a), Some(b)) = (rule.selector(), known.selector())
            && a != b
        {
            apart = true;
            continue;
        }
        known.absorb(&rule, problems);
        if rule.selector().is_some() == known.selector().is_some() {
            before = before.or(Some(at));
        }
    }
    if apart {
        rules.insert(before.unwrap_or(rules.len()), rule);
    }
}

/// A rule without a host applies to nothing.
pub(super) fn no_host(object: &Config<DestinationRule>) -> Problem {
    Problem {
        severity: Severity::Error,
        object: object.source.key.clone(),
        field: "spec.host".to_owned(),
        message: "the rule names no host and applies to nothing".to_owned(),
        hint: "name a service, such as reviews.shop.svc.cluster.local".to_owned(),
    }
}

fn repeated_subset(later: &Config<DestinationRule>, at: usize, name: &str, from: &[ObjectRef]) -> Problem {
    let first = from.first().map(|f| f.key.to_string()).unwrap_or_default();
    Problem {
        severity: Severity::Warning,
        object: later.source.key.clone(),
        field: format!("spec.subsets[{at}]"),
        message: format!("subset {name:?} is already defined by {first}, which wins"),
        hint: "rename one of the two subsets".to_owned(),
    }
}
