//! What each file gives, which file's form of an object counts, and what changes when files change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use api::decode::AnyObject;
use api::{ObjectKey, Severity};

use super::parse::{Broken, Given, Parsed};
use crate::event::{Batch, Event};
use crate::report::Report;

#[cfg(test)]
mod tests;

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Change {
    /// It is gone, and its objects with it.
    Gone,
    /// It was read; the digest is that of its bytes.
    Parsed(u128, Parsed),
    /// It is there, or may be, but could not be read: what it gave stays.
    Unreadable(Report),
}

/// All files with what they give.
#[derive(Debug, Default)]
pub(crate) struct State {
    files: BTreeMap<Arc<Path>, File>,
    givers: BTreeMap<ObjectKey, BTreeSet<Arc<Path>>>,
    served: BTreeMap<ObjectKey, Arc<AnyObject>>,
    clashes: BTreeMap<ObjectKey, BTreeSet<Arc<Report>>>,
}

#[derive(Debug, Default)]
struct File {
    /// None while the file cannot be read, so that it is parsed when it can be again.
    digest: Option<u128>,
    objects: BTreeMap<ObjectKey, Held>,
    reports: BTreeSet<Arc<Report>>,
}

#[derive(Clone, Debug)]
struct Held {
    given: Given,
    form: Form,
}

/// What of an object a file gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// What the file says.
    Said,
    /// The last good form: the object's document does not parse any more.
    Stale,
    /// What denies in the place of a policy that cannot be read and has no last good form.
    StandIn,
}

/// Problems before and after a change.
#[derive(Default)]
struct Turnover {
    before: BTreeSet<Arc<Report>>,
    after: BTreeSet<Arc<Report>>,
}

impl State {
    /// The digest of what a file last held, if it could be read.
    pub(crate) fn digest(&self, file: &Path) -> Option<u128> {
        self.files.get(file)?.digest
    }

    /// The known files at a path and below it, in order.
    pub(crate) fn under<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Arc<Path>> {
        self.files
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
            .map(|(file, _)| file)
            .take_while(move |file| file.starts_with(path))
    }

    /// Takes in what became of some files and says what that changes. Files not named stay as they are.
    pub(crate) fn apply(&mut self, changes: BTreeMap<Arc<Path>, Change>) -> Batch {
        let mut touched = BTreeSet::new();
        let mut reports = Turnover::default();
        for (path, change) in changes {
            self.replace(path, change, &mut touched, &mut reports);
        }
        let events = touched.into_iter().filter_map(|key| self.settle(key, &mut reports)).collect();
        let Turnover { before, after } = reports;
        Batch {
            cluster: None,
            complete: false,
            resolved: Vec::new(),
            keys: Vec::new(),
            accounts: Vec::new(),
            trusted: None,
            events,
            appeared: after.difference(&before).cloned().collect(),
            cleared: before.difference(&after).cloned().collect(),
        }
    }

    /// Puts a file's new form in place of its old one.
    fn replace(
        &mut self,
        path: Arc<Path>,
        change: Change,
        touched: &mut BTreeSet<ObjectKey>,
        reports: &mut Turnover,
    ) {
        let old = self.files.remove(&path).unwrap_or_default();
        for key in old.objects.keys() {
            if let Some(givers) = self.givers.get_mut(key) {
                givers.remove(&path);
            }
            touched.insert(key.clone());
        }
        reports.before.extend(old.reports);
        let new = match change {
            Change::Gone => return,
            Change::Parsed(digest, parsed) => File::of(digest, parsed, old.objects),
            Change::Unreadable(report) => File::unreadable(report, old.objects),
        };
        for key in new.objects.keys() {
            self.givers.entry(key.clone()).or_default().insert(path.clone());
            touched.insert(key.clone());
        }
        reports.after.extend(new.reports.iter().cloned());
        self.files.insert(path, new);
    }

    /// Decides anew which form of an object counts; an event if that is another than before.
    ///
    /// What a file says counts before what another only said last or does not say legibly, and among equals the first in order of paths.
    fn settle(&mut self, key: ObjectKey, reports: &mut Turnover) -> Option<Event> {
        let givers = self.givers.get(&key).into_iter().flatten();
        let mut held: Vec<&Held> =
            givers.filter_map(|path| self.files.get(path)?.objects.get(&key)).collect();
        held.sort_by_key(|held| held.form);
        let object = held.first().map(|held| held.given.object.clone());
        let clashes = clashes(&key, &held);
        if object.is_none() {
            self.givers.remove(&key);
        }
        reports.after.extend(clashes.iter().cloned());
        let old = if clashes.is_empty() {
            self.clashes.remove(&key)
        } else {
            self.clashes.insert(key.clone(), clashes)
        };
        reports.before.extend(old.unwrap_or_default());
        if self.served.get(&key) == object.as_ref() {
            return None;
        }
        match &object {
            Some(object) => self.served.insert(key.clone(), object.clone()),
            None => self.served.remove(&key),
        };
        Some(Event { key, object })
    }
}

/// The reports that one object is given by several files; each names both places.
fn clashes(key: &ObjectKey, held: &[&Held]) -> BTreeSet<Arc<Report>> {
    let Some((winner, others)) = held.split_first() else { return BTreeSet::new() };
    let fresh = others.iter().filter(|other| other.form == Form::Said);
    fresh.map(|other| Arc::new(clash(key, &winner.given, &other.given))).collect()
}

/// The report that `second` repeats an object which `first` gives.
pub(crate) fn clash(key: &ObjectKey, first: &Given, second: &Given) -> Report {
    Report {
        place: second.place.clone(),
        severity: Severity::Error,
        object: Some(key.clone()),
        field: String::new(),
        message: format!("this object is also in {}, which counts; this one is left out", first.place),
        hint: "keep one of them".to_owned(),
        last_good: Vec::new(),
    }
}

impl Held {
    /// What it is when its file no longer says it.
    fn kept(self) -> Self {
        Self { form: self.form.max(Form::Stale), ..self }
    }
}

impl File {
    /// A file that was read: what it says, and for documents that do not parse what they last said.
    fn of(digest: u128, mut parsed: Parsed, old: BTreeMap<ObjectKey, Held>) -> Self {
        let said = |(key, given)| (key, Held { given, form: Form::Said });
        let mut objects: BTreeMap<_, _> = parsed.objects.into_iter().map(said).collect();
        parsed.stand_ins.retain(|key, _| !objects.contains_key(key));
        // What stood in for one unreadable form says nothing of the next.
        let replaced = |key: &ObjectKey, held: &Held| {
            objects.contains_key(key) || held.form == Form::StandIn && parsed.stand_ins.contains_key(key)
        };
        let missing: BTreeMap<_, _> = old.into_iter().filter(|(key, held)| !replaced(key, held)).collect();
        let named: BTreeSet<&ObjectKey> =
            parsed.findings.iter().filter_map(|finding| finding.broken.key()).collect();
        let unnamed = || missing.keys().filter(|key| !named.contains(key)).cloned().collect::<Vec<_>>();
        let mut kept = BTreeSet::new();
        let mut reports = BTreeSet::new();
        for finding in &parsed.findings {
            let mut report = finding.report.clone();
            report.last_good = match &finding.broken {
                Broken::Nothing => Vec::new(),
                Broken::Object(key) => missing.keys().filter(|old| *old == key).cloned().collect(),
                Broken::Unknown => unnamed(),
            };
            kept.extend(report.last_good.iter().cloned());
            let stand_in = finding.broken.key().filter(|_| report.last_good.is_empty());
            let stand_in = stand_in.and_then(|key| parsed.stand_ins.get(key));
            if let Some(consequence) = stand_in.and_then(|given| given.object.consequence()) {
                report.message = format!("{}; {consequence}", report.message);
            }
            reports.insert(Arc::new(report));
        }
        for (key, held) in missing {
            if kept.contains(&key) {
                objects.insert(key, held.kept());
            }
        }
        for (key, given) in parsed.stand_ins {
            objects.entry(key).or_insert(Held { given, form: Form::StandIn });
        }
        Self { digest: Some(digest), objects, reports }
    }

    /// A file that could not be read: what it gave before.
    fn unreadable(mut report: Report, mut objects: BTreeMap<ObjectKey, Held>) -> Self {
        for held in objects.values_mut() {
            *held = held.clone().kept();
        }
        report.last_good = objects.keys().cloned().collect();
        Self { digest: None, objects, reports: BTreeSet::from([Arc::new(report)]) }
    }
}
