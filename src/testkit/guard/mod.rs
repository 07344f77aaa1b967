//! The guard of "every field": each leaf of a schema, and each value of one that has a list of them, is set in some case
//! where it makes a difference to what proxies are sent.
//!
//! A leaf that is set makes a difference if some proxy gets anything else when it is left out, or is another value. The
//! same holds of labels, annotations and node metadata, which no schema lists: they are in a table ([`marks`]).

mod document;
mod ground;
mod listed;
mod marks;
mod place;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result};

pub use listed::Listed;
pub use place::Subject;

use crate::conformance::Case;
use document::Setting;
use ground::Ground;

/// A leaf of a schema, or one value of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The subject's name.
    pub subject: &'static str,
    /// The leaf's path.
    pub leaf: String,
    /// The value, for a leaf that has a list of them.
    pub value: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.leaf)?;
        self.value.iter().try_for_each(|value| write!(f, "={value}"))
    }
}

/// What came of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// No case sets it.
    #[default]
    Unset,
    /// It is set and makes no difference; in these cases.
    None(BTreeSet<String>),
    /// It makes a difference.
    Some,
}

/// What came of all targets.
pub type Effects = BTreeMap<Target, Effect>;

/// Settings of one target that are tried in one case.
const TRIES: usize = 4;

/// All leaves and values of the subjects, and all labels, annotations and node metadata.
pub fn targets(subjects: &[Subject]) -> Effects {
    let mut targets = Effects::new();
    for subject in subjects {
        for (leaf, values) in schema::leaves(&subject.schema) {
            let target = |value| Target { subject: subject.name, leaf: leaf.clone(), value };
            targets.insert(target(None), Effect::Unset);
            targets.extend(values.into_iter().map(|value| (target(Some(value)), Effect::Unset)));
        }
    }
    targets.extend(marks::MARKS.iter().map(|mark| (mark.target(), Effect::Unset)));
    targets
}

/// Tries in a case what is still without effect.
///
/// # Errors
/// The case cannot be read.
pub fn look(case: &Case, base: &str, subjects: &[Subject], effects: &mut Effects) -> Result<()> {
    let mut ground = Ground::new(case, base).with_context(|| case.name())?;
    let mut tries: BTreeMap<Target, usize> = BTreeMap::new();
    for place in place::places(case) {
        let Some(subject) = subjects.iter().find(|subject| subject.name == place.subject) else { continue };
        let leaves = schema::leaves(&subject.schema);
        for setting in document::settings(&subject.schema, &place.content) {
            let values = leaves.get(&setting.leaf).map(Vec::as_slice).unwrap_or_default();
            let wanted = wanted(subject, &setting, effects, &mut tries);
            if wanted.is_empty() {
                continue;
            }
            let mut found = false;
            for content in setting.variants(&place.content, values) {
                found = found || ground.differs(&place, content).with_context(|| case.name())?;
            }
            wanted.into_iter().for_each(|target| note(effects, target, case, found));
        }
    }
    marks::look(case, &mut ground, effects).with_context(|| case.name())
}

/// Notes what came of a target in a case.
fn note(effects: &mut Effects, target: Target, case: &Case, found: bool) {
    let effect = effects.entry(target).or_default();
    match effect {
        _ if found => *effect = Effect::Some,
        Effect::None(cases) => drop(cases.insert(case.name())),
        Effect::Unset => *effect = Effect::None(BTreeSet::from([case.name()])),
        Effect::Some => {}
    }
}

/// The targets of a setting that are still without effect and not tried too often here.
fn wanted(
    subject: &Subject,
    setting: &Setting,
    effects: &Effects,
    tries: &mut BTreeMap<Target, usize>,
) -> Vec<Target> {
    let target = |value| Target { subject: subject.name, leaf: setting.leaf.clone(), value };
    let of_value = setting.value.as_str().map(|value| target(Some(value.to_owned())));
    let missing = |target: &Target| effects.get(target).is_some_and(|effect| *effect != Effect::Some);
    let of = [target(None)].into_iter().chain(of_value).filter(missing);
    let mut few = |target: &Target| {
        let tried = tries.entry(target.clone()).or_default();
        *tried += 1;
        *tried <= TRIES
    };
    of.filter(|target| few(target)).collect()
}

/// A text of a number of targets, one a line, for people.
pub fn lines(effects: &Effects) -> Vec<String> {
    let line = |(target, effect): (&Target, &Effect)| match effect {
        Effect::Some => None,
        Effect::Unset => Some(format!("{target}: no case sets it")),
        Effect::None(cases) => {
            let cases = cases.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            Some(format!("{target}: makes no difference in {cases}"))
        }
    };
    effects.iter().filter_map(line).collect()
}

/// Joins what was found in several cases: the stronger effect counts.
pub fn join(into: &mut Effects, from: Effects) {
    for (target, effect) in from {
        let known = into.entry(target).or_default();
        match (&mut *known, effect) {
            (Effect::Some, _) | (_, Effect::Unset) => {}
            (Effect::None(cases), Effect::None(more)) => cases.extend(more),
            (known, effect) => *known = effect,
        }
    }
}
