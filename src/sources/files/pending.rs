//! When to look at what changed: at once, but a burst as one, and at a file that is being replaced only when it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A burst of changes is over when nothing came for this long ...
const QUIET: Duration = Duration::from_millis(1);
/// ... and at the latest this long after its first change.
const BURST: Duration = Duration::from_millis(20);
/// Editors take a file away and write it anew. One that went is taken for gone when it and others with it stay away for
/// this long ...
const ABSENCE: Duration = Duration::from_millis(30);
/// ... and at the latest this long after the first of them went.
const ABSENCES: Duration = Duration::from_millis(120);

/// The paths that are to be looked at again, and when. Time comes in as a value.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    changed: BTreeSet<PathBuf>,
    burst: Option<Span>,
    /// With the cookie by which the kernel joins the two ends of a renaming; 0 for none.
    leaving: BTreeMap<PathBuf, u32>,
    absence: Option<Span>,
    open: BTreeSet<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: Instant,
    last: Instant,
}

impl Span {
    fn extend(span: &mut Option<Self>, now: Instant) {
        span.get_or_insert(Self { first: now, last: now }).last = now;
    }

    fn end(self, quiet: Duration, longest: Duration) -> Instant {
        (self.last + quiet).min(self.first + longest)
    }
}

impl Pending {
    /// What is at a path is new and whole.
    pub(crate) fn changed(&mut self, path: PathBuf, now: Instant) {
        self.open.remove(&path);
        self.leaving.remove(&path);
        self.changed.insert(path);
        Span::extend(&mut self.burst, now);
    }

    /// A file's permissions or times changed; of one that is still being written its writer's closing is awaited.
    pub(crate) fn touched(&mut self, path: PathBuf, now: Instant) {
        if !self.open.contains(&path) {
            self.changed(path, now);
        }
    }

    /// A file was made and will be written: it counts when its writer closes it, and until then as it was.
    pub(crate) fn created(&mut self, path: PathBuf) {
        self.leaving.remove(&path);
        self.open.insert(path);
    }

    /// The entry of a path went away, perhaps to come back.
    pub(crate) fn left(&mut self, path: PathBuf, cookie: u32, now: Instant) {
        self.open.remove(&path);
        self.leaving.insert(path, cookie);
        Span::extend(&mut self.absence, now);
    }

    /// What left with this cookie came to another path that counts: it is not coming back, and both ends are one change.
    pub(crate) fn arrived(&mut self, cookie: u32, now: Instant) {
        let from: Vec<PathBuf> =
            self.leaving.iter().filter(|(_, left)| **left == cookie).map(|(path, _)| path.clone()).collect();
        for path in from {
            self.changed(path, now);
        }
    }

    /// Events were lost: all must be looked at, and no closing of a file can be relied on.
    pub(crate) fn lost(&mut self, root: &Path, now: Instant) {
        self.open.clear();
        self.leaving.clear();
        self.changed(root.to_owned(), now);
    }

    /// The files that are being written, as far as is known.
    pub(crate) fn open(&self) -> &BTreeSet<PathBuf> {
        &self.open
    }

    /// When to [`Self::take`]; none while nothing changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        let burst = self.burst.filter(|_| !self.changed.is_empty()).map(|burst| burst.end(QUIET, BURST));
        let absence =
            self.absence.filter(|_| !self.leaving.is_empty()).map(|absence| absence.end(ABSENCE, ABSENCES));
        burst.into_iter().chain(absence).min()
    }

    /// The paths to look at now, without those below others of them.
    pub(crate) fn take(&mut self, now: Instant) -> BTreeSet<PathBuf> {
        let mut taken = BTreeSet::new();
        if self.burst.is_some_and(|burst| burst.end(QUIET, BURST) <= now) {
            taken.append(&mut self.changed);
            self.burst = None;
        }
        if self.absence.is_some_and(|absence| absence.end(ABSENCE, ABSENCES) <= now) {
            taken.extend(std::mem::take(&mut self.leaving).into_keys());
            self.absence = None;
        }
        without_nested(taken)
    }
}

fn without_nested(paths: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut kept: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        // In order of paths a directory comes right before all that is below it.
        if !kept.last().is_some_and(|above| path.starts_with(above)) {
            kept.insert(path);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn taken(pending: &mut Pending, now: Instant) -> Vec<String> {
        pending.take(now).into_iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_change_is_due_when_it_is_quiet() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        assert_eq!(pending.due(), None);
        pending.changed("a".into(), start);
        pending.changed("b".into(), start + MS / 2);
        assert_eq!(pending.due(), Some(start + MS / 2 + QUIET));
        assert_eq!(taken(&mut pending, start + MS), [""; 0]);
        assert_eq!(taken(&mut pending, start + 2 * MS), ["a", "b"]);
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn a_burst_without_end_is_cut() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        for step in 0..100 {
            pending.changed("a".into(), start + step * (MS / 2));
        }
        assert_eq!(pending.due(), Some(start + BURST));
    }

    #[test]
    fn a_file_that_comes_back_was_never_gone() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.left("a".into(), 0, start);
        assert_eq!(pending.due(), Some(start + ABSENCE));
        pending.created("a".into());
        assert!(pending.open().contains(Path::new("a")));
        assert_eq!(pending.due(), None);
        pending.touched("a".into(), start + MS);
        assert_eq!(pending.due(), None, "its writer has not closed it");
        pending.changed("a".into(), start + 50 * MS);
        assert_eq!(taken(&mut pending, start + 60 * MS), ["a"]);
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn files_that_stay_away_are_gone_together() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.left("a".into(), 0, start);
        pending.left("b".into(), 0, start + 10 * MS);
        assert_eq!(taken(&mut pending, start + ABSENCE), [""; 0]);
        assert_eq!(taken(&mut pending, start + 10 * MS + ABSENCE), ["a", "b"]);
    }

    #[test]
    fn both_ends_of_a_renaming_are_one_change() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.left("a".into(), 7, start);
        pending.left("c".into(), 8, start);
        pending.changed("b".into(), start);
        pending.arrived(7, start);
        assert_eq!(taken(&mut pending, start + 2 * MS), ["a", "b"]);
        assert_eq!(taken(&mut pending, start + ABSENCE), ["c"]);
    }

    #[test]
    fn what_is_below_a_directory_is_looked_at_with_it() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        for path in ["d/x/y.yaml", "d", "d-e.yaml", "d/z.yaml"] {
            pending.changed(path.into(), start);
        }
        assert_eq!(taken(&mut pending, start + BURST), ["d", "d-e.yaml"]);
    }
}
