//! The kernel's watches on the directories that the folder rests on, and what their events say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ::inotify::{EventMask, EventOwned, WatchDescriptor, WatchMask, Watches};

use super::links::Links;
use super::pending::Pending;
use super::scan;

/// The watches in place.
///
/// A watch is the kernel's on a directory itself, whatever its path: two paths may share one, and a path may get another
/// directory. So each look adds the watches of all that it passes anew, which costs one system call each.
pub(crate) struct Watcher {
    watches: Watches,
    by_path: BTreeMap<PathBuf, WatchDescriptor>,
    by_watch: HashMap<WatchDescriptor, BTreeSet<PathBuf>>,
    renewed: BTreeSet<PathBuf>,
    failure: Option<io::Error>,
}

/// A file counts when its writer closes it, so that nobody reads half of it; `IN_MODIFY` is not asked for.
fn mask() -> WatchMask {
    WatchMask::CLOSE_WRITE
        | WatchMask::MOVED_TO
        | WatchMask::MOVED_FROM
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::ATTRIB
        | WatchMask::ONLYDIR
        | WatchMask::EXCL_UNLINK
}

impl Watcher {
    /// No watch yet.
    pub(crate) fn new(watches: Watches) -> Self {
        Self {
            watches,
            by_path: BTreeMap::new(),
            by_watch: HashMap::new(),
            renewed: BTreeSet::new(),
            failure: None,
        }
    }

    /// A new look begins: what it passes is watched anew.
    pub(crate) fn renew(&mut self) {
        self.renewed.clear();
    }

    /// Watches the directory that is now at a path.
    pub(crate) fn add(&mut self, dir: &Path) {
        if !self.renewed.insert(dir.to_owned()) {
            return;
        }
        match self.watches.add(dir, mask()) {
            Ok(watch) => {
                if self.by_path.get(dir) != Some(&watch) {
                    self.remove(dir);
                    self.by_path.insert(dir.to_owned(), watch.clone());
                    self.by_watch.entry(watch).or_default().insert(dir.to_owned());
                }
            }
            // The walk itself will say what is wrong with a directory; a parent that may not be read is seen by sweeps.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
                ) => {}
            Err(error) => self.failure = Some(error),
        }
    }

    /// Nothing rests on the directory at this path any more.
    pub(crate) fn remove(&mut self, dir: &Path) {
        let Some(watch) = self.by_path.remove(dir) else { return };
        let Some(paths) = self.by_watch.get_mut(&watch) else { return };
        paths.remove(dir);
        if paths.is_empty() {
            self.by_watch.remove(&watch);
            // Fails if the directory is gone, and the watch with it.
            let _gone = self.watches.remove(watch);
        }
    }

    /// Why watches could not be set, if so since this was last asked.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn paths(&self, watch: &WatchDescriptor) -> Vec<PathBuf> {
        self.by_watch.get(watch).into_iter().flatten().cloned().collect()
    }

    fn dropped(&mut self, watch: &WatchDescriptor) {
        for path in self.by_watch.remove(watch).unwrap_or_default() {
            self.by_path.remove(&path);
        }
    }

    /// Takes down what an event concerns.
    pub(crate) fn note(
        &mut self,
        event: &EventOwned,
        links: &Links,
        pending: &mut Pending,
        root: &Path,
        now: Instant,
    ) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            pending.lost(root, now);
            return;
        }
        for dir in self.paths(&event.wd) {
            match &event.name {
                Some(name) => entry(event, &dir, name, links, pending, now),
                // The directory itself went, with its watch, or its file system did.
                None if event.mask.intersects(EventMask::IGNORED | EventMask::UNMOUNT) => {
                    links.listings(&dir).for_each(|path| pending.changed(path.clone(), now));
                }
                None => {}
            }
        }
        if event.mask.contains(EventMask::IGNORED) {
            self.dropped(&event.wd);
        }
    }
}

fn entry(event: &EventOwned, dir: &Path, name: &OsStr, links: &Links, pending: &mut Pending, now: Instant) {
    let paths = links.concerned(dir, name);
    if paths.is_empty() {
        return;
    }
    let is_directory = event.mask.contains(EventMask::ISDIR);
    let begun = event.mask.contains(EventMask::CREATE) && !is_directory && will_be_written(&dir.join(name));
    if event.mask.contains(EventMask::MOVED_TO) && (is_directory || scan::is_manifest(name)) {
        pending.arrived(event.cookie, now);
    }
    for path in paths {
        if begun {
            pending.created(path);
        } else if event.mask.contains(EventMask::MOVED_FROM) {
            pending.left(path, event.cookie, now);
        } else if event.mask.contains(EventMask::DELETE) {
            pending.left(path, 0, now);
        } else if event.mask.contains(EventMask::ATTRIB) {
            pending.touched(path, now);
        } else {
            pending.changed(path, now);
        }
    }
}

/// Whether a new entry is a file of its own, whose writer's closing will be told; a link is whole at once.
fn will_be_written(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}
