//! Holds what is sent against what the reference sends: the normal form, the differences, and three figures.
//!
//! The rules are those of `e2e/conformance/score.py`, the independent judge; the two share no code, so a slip in one
//! shows. Dumps are canonical proto JSON, by type (`cds`, `eds`, `lds`, `rds`, `ecds`) and name.

mod normal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

pub use normal::{Keys, normal};

/// What one proxy has: resources by type, then by name.
pub type Dump = BTreeMap<String, BTreeMap<String, Value>>;

/// The value at a path (RFC 6901) of a resource of a dump; null if there is no such resource or path.
#[must_use]
pub fn at(dump: &Dump, kind: &str, name: &str, path: &str) -> Value {
    let resource = dump.get(kind).and_then(|d| d.get(name));
    resource.and_then(|r| r.pointer(path)).cloned().unwrap_or_default()
}

/// The first value under a key, anywhere.
#[must_use]
pub fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|v| find(v, key))),
        Value::Array(list) => list.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

/// A place at which two normal forms differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Field names joined by dots after the type, `[]` for any item of a list, `[#]` for a list's length.
    pub path: String,
    /// What the reference has there; `None` for nothing.
    pub want: Option<Value>,
    /// What was sent; `None` for nothing.
    pub got: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |v: &Option<Value>| v.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  expected {}", show(&self.want))?;
        write!(f, "  got      {}", show(&self.got))
    }
}

/// Every place at which two normal forms differ; items of lists are compared in order, as far as both go.
#[must_use]
pub fn differences(want: &Value, got: &Value, path: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(want, got, path, &mut found);
    found
}

fn collect(want: &Value, got: &Value, path: &str, found: &mut Vec<Difference>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(x), Some(y)) => collect(x, y, &path, found),
                    (x, y) => found.push(Difference { path, want: x.cloned(), got: y.cloned() }),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                found.push(Difference {
                    path: format!("{path}[#]"),
                    want: Some(json!(a.len())),
                    got: Some(json!(b.len())),
                });
            }
            let path = format!("{path}[]");
            a.iter().zip(b).for_each(|(x, y)| collect(x, y, &path, found));
        }
        _ if want != got => {
            found.push(Difference { path: path.to_owned(), want: Some(want.clone()), got: Some(got.clone()) })
        }
        _ => {}
    }
}

/// How many leaves a value has; an empty object or list counts as one.
#[must_use]
pub fn leaves(value: &Value) -> usize {
    let inner = match value {
        Value::Object(object) => object.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    };
    inner.max(1)
}

/// A resource that is not as the reference has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Mismatch {
    /// The reference sends it, we do not.
    Missing {
        /// `cds` and so on.
        kind: String,
        /// The resource's name.
        name: String,
    },
    /// We send it, the reference does not.
    NotExpected {
        /// `cds` and so on.
        kind: String,
        /// The resource's name.
        name: String,
    },
    /// Both send it, with different content.
    Differs {
        /// `cds` and so on.
        kind: String,
        /// The resource's name.
        name: String,
        /// Leaves of the reference's form, to weigh the differences by.
        leaves: usize,
        /// Where; never empty.
        differences: Vec<Difference>,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { kind, name } => write!(f, "{kind} {name}: missing"),
            Self::NotExpected { kind, name } => write!(f, "{kind} {name}: not expected"),
            Self::Differs { kind, name, leaves, differences } => {
                write!(f, "{kind} {name}: {} of about {leaves} leaves differ", differences.len())?;
                differences.iter().try_for_each(|d| write!(f, "\n{d}"))
            }
        }
    }
}

/// So many equal, of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How many are equal.
    pub equal: usize,
    /// How many there are.
    pub total: usize,
}

impl Share {
    /// From 0 to 100; 0 of nothing.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts of resources")]
    pub fn percent(self) -> f64 {
        100.0 * self.equal as f64 / self.total.max(1) as f64
    }

    fn add(&mut self, other: Self) {
        self.equal += other.equal;
        self.total += other.total;
    }

    fn count(&mut self, equal: bool) {
        self.total += 1;
        self.equal += usize::from(equal);
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} = {:.1} %", self.equal, self.total, self.percent())
    }
}

/// The figures over many proxies and cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of all resources on either side, those that are equal.
    pub resources: Share,
    /// Of those that the case's own settings change (all, where nothing is recorded without them).
    pub telling: Share,
    /// Of the cases, those that are wholly equal.
    pub cases: Share,
    /// Resources by type.
    pub kinds: BTreeMap<String, Share>,
    /// How many resources differ at a path.
    pub frequent: BTreeMap<String, usize>,
}

impl Tally {
    /// Compares one proxy's dump with the reference's. `plain` is what the reference sends without the case's
    /// own settings.
    pub fn proxy(&mut self, want: &Dump, got: &Dump, plain: Option<&Dump>, keys: Keys) -> Vec<Mismatch> {
        let form = |dump: &Dump, kind: &str, name: &str| Some(normal(dump.get(kind)?.get(name)?, keys));
        let mut mismatches = Vec::new();
        for (kind, name) in names(want).union(&names(got)).copied() {
            let (x, y) = (form(want, kind, name), form(got, kind, name));
            let telling = plain.is_none_or(|p| x.is_none() || form(p, kind, name) != x);
            let equal = x == y;
            self.resources.count(equal);
            self.kinds.entry(kind.to_owned()).or_default().count(equal);
            if telling {
                self.telling.count(equal);
            }
            if let Some(mismatch) = mismatch(kind, name, x.as_ref(), y.as_ref()) {
                self.note(&mismatch);
                mismatches.push(mismatch);
            }
        }
        mismatches
    }

    /// Adds the figures of another tally.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.resources, other.resources),
            (&mut self.telling, other.telling),
            (&mut self.cases, other.cases),
        ] {
            mine.add(theirs);
        }
        for (kind, share) in &other.kinds {
            self.kinds.entry(kind.clone()).or_default().add(*share);
        }
        for (path, count) in &other.frequent {
            *self.frequent.entry(path.clone()).or_default() += count;
        }
    }

    /// Counts a case, once all its proxies have been compared.
    pub fn case(&mut self, wholly_equal: bool) {
        self.cases.count(wholly_equal);
    }

    /// The paths at which most resources differ, most first.
    #[must_use]
    pub fn most_frequent(&self, limit: usize) -> Vec<(&str, usize)> {
        let mut paths: Vec<_> = self.frequent.iter().map(|(p, n)| (p.as_str(), *n)).collect();
        paths.sort_by_key(|(path, count)| (std::cmp::Reverse(*count), *path));
        paths.truncate(limit);
        paths
    }

    fn note(&mut self, mismatch: &Mismatch) {
        let paths = match mismatch {
            Mismatch::Missing { kind, .. } => BTreeSet::from([format!("{kind}: missing")]),
            Mismatch::NotExpected { kind, .. } => BTreeSet::from([format!("{kind}: not expected")]),
            Mismatch::Differs { differences, .. } => differences.iter().map(|d| d.path.clone()).collect(),
        };
        for path in paths {
            *self.frequent.entry(path).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resources, telling, cases, .. } = self;
        write!(f, "resources {resources}; telling {telling}; cases {cases}")
    }
}

fn names(dump: &Dump) -> BTreeSet<(&str, &str)> {
    let mut names = BTreeSet::new();
    for (kind, resources) in dump {
        names.extend(resources.keys().map(|name| (kind.as_str(), name.as_str())));
    }
    names
}

fn mismatch(kind: &str, name: &str, want: Option<&Value>, got: Option<&Value>) -> Option<Mismatch> {
    let (type_, name) = (kind.to_owned(), name.to_owned());
    match (want, got) {
        (Some(_), None) => Some(Mismatch::Missing { kind: type_, name }),
        (None, Some(_)) => Some(Mismatch::NotExpected { kind: type_, name }),
        (Some(want), Some(got)) if want != got => Some(Mismatch::Differs {
            kind: type_,
            name,
            leaves: leaves(want),
            differences: differences(want, got, kind),
        }),
        _ => None,
    }
}
