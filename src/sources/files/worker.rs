//! Looks at the folder: what is to be looked at comes in, a batch with what that changes comes out. Blocking.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use xxhash_rust::xxh3::xxh3_128;

use super::inotify::Watcher;
use super::links::Links;
use super::parse::{self, MAX_BYTES};
use super::state::{Change, State};
use super::tree::{Found, Walk};
use crate::event::Batch;
use crate::report::{Place, Report};

/// The folder as last seen.
pub(crate) struct Worker {
    root: PathBuf,
    readers: ThreadPool,
    state: State,
    seen: BTreeMap<PathBuf, Seen>,
    /// Changes that a sweep found once: the file as it was then, none if it was gone.
    unconfirmed: BTreeMap<PathBuf, Option<Signature>>,
    /// What the paths rest on.
    pub(crate) links: Links,
    /// The kernel's watches; none where the folder is only swept.
    pub(crate) watcher: Option<Watcher>,
}

/// What changes when a file does, as far as its metadata tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file when it was read.
#[derive(Clone, Copy, Debug)]
struct Seen {
    signature: Signature,
    /// Whether it was old enough for a later change to show in its signature.
    settled: bool,
}

/// File systems' clocks tick coarsely: two writes within one tick leave the same times.
const COARSEST_TICK: Duration = Duration::from_secs(2);

/// What reading a file gave.
struct Outcome {
    seen: Option<Seen>,
    /// None if the file says what it said.
    change: Option<Change>,
}

/// What a sweep found.
pub(crate) struct Sweep {
    /// The changes that are certain.
    pub(crate) batch: Batch,
    /// Whether there are others that another sweep, soon, will confirm or drop.
    pub(crate) again: bool,
}

impl Worker {
    /// A worker that has seen nothing yet, for an absolute path.
    ///
    /// # Errors
    ///
    /// No threads can be had.
    pub(crate) fn new(root: PathBuf, watcher: Option<Watcher>) -> io::Result<Self> {
        Ok(Self {
            root,
            readers: readers()?,
            state: State::default(),
            seen: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            links: Links::default(),
            watcher,
        })
    }

    /// The first look at all of the folder.
    ///
    /// # Errors
    ///
    /// The folder is not there, is no directory or cannot be listed.
    pub(crate) fn first(&mut self) -> io::Result<Batch> {
        fs::read_dir(&self.root)?;
        let batch = self.look(&BTreeSet::from([self.root.clone()]), &BTreeSet::new());
        Ok(Batch { complete: true, ..batch })
    }

    /// Looks at these paths and all below them, as they are now. A file that is being written counts as it was.
    pub(crate) fn look(&mut self, paths: &BTreeSet<PathBuf>, open: &BTreeSet<PathBuf>) -> Batch {
        let mut changes = BTreeMap::new();
        let mut reads = Vec::new();
        for (path, found) in self.walk(paths) {
            for gone in self.gone(&path, &found) {
                if !open.contains(&*gone) {
                    changes.insert(gone, Change::Gone);
                }
            }
            changes.extend(troubles(&found));
            reads.extend(
                found
                    .files
                    .into_iter()
                    .filter(|file| !open.contains(file) || self.state.digest(file).is_none()),
            );
        }
        self.read(reads, &mut changes);
        self.state.apply(changes)
    }

    /// Looks at all of the folder by the files' metadata, for changes that no event told. Whoever writes may not have
    /// finished, so a change counts when two sweeps found the same, and that to a file known to be open not at all.
    pub(crate) fn sweep(&mut self, open: &BTreeSet<PathBuf>) -> Sweep {
        let mut changes = BTreeMap::new();
        let mut reads = Vec::new();
        let mut unconfirmed = BTreeMap::new();
        for (path, found) in self.walk(&BTreeSet::from([self.root.clone()])) {
            for gone in self.gone(&path, &found).into_iter().filter(|gone| !open.contains(&**gone)) {
                if self.unconfirmed.get(&*gone) == Some(&None) {
                    changes.insert(gone, Change::Gone);
                } else {
                    unconfirmed.insert(gone.to_path_buf(), None);
                }
            }
            changes.extend(troubles(&found));
            for file in found.files.into_iter().filter(|file| !open.contains(file)) {
                let now = fs::metadata(&file).ok().map(|metadata| Signature::of(&metadata));
                let seen = self.seen.get(&file);
                if seen.is_some_and(|seen| seen.settled && Some(seen.signature) == now) {
                    continue;
                }
                let unsettled = seen.is_some_and(|seen| Some(seen.signature) == now);
                if unsettled || self.unconfirmed.get(&file) == Some(&now) {
                    reads.push(file);
                } else {
                    unconfirmed.insert(file, now);
                }
            }
        }
        self.read(reads, &mut changes);
        self.unconfirmed = unconfirmed;
        Sweep { batch: self.state.apply(changes), again: !self.unconfirmed.is_empty() }
    }

    /// Walks the paths, and lets go of what only their former states rested on.
    fn walk(&mut self, paths: &BTreeSet<PathBuf>) -> Vec<(PathBuf, Found)> {
        let Self { root, links, watcher, .. } = self;
        if let Some(watcher) = watcher {
            watcher.renew();
        }
        let mut released = BTreeSet::new();
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            released.append(&mut links.forget(path));
            let mut watch = |dir: &Path| {
                if let Some(watcher) = watcher.as_mut() {
                    watcher.add(dir);
                }
            };
            let mut walk = Walk { root, links, watch: &mut watch };
            found.push((path.clone(), walk.look(path)));
        }
        if let Some(watcher) = watcher {
            released.iter().filter(|dir| !links.needs(dir)).for_each(|dir| watcher.remove(dir));
        }
        found
    }

    /// The known files at a path and below that are there no more.
    fn gone(&self, path: &Path, found: &Found) -> Vec<Arc<Path>> {
        let hidden = |file: &Path| found.troubles.keys().any(|trouble| file.starts_with(trouble));
        let gone = self.state.under(path).filter(|file| !found.files.contains(&***file) && !hidden(file));
        gone.cloned().collect()
    }

    fn read(&mut self, files: Vec<PathBuf>, changes: &mut BTreeMap<Arc<Path>, Change>) {
        let state = &self.state;
        let one = |file: PathBuf| {
            let outcome = read(&file, state.digest(&file));
            (file, outcome)
        };
        let outcomes: Vec<(PathBuf, Outcome)> =
            self.readers.install(|| files.into_par_iter().map(one).collect());
        for (file, outcome) in outcomes {
            let path: Arc<Path> = file.as_path().into();
            match outcome.seen {
                Some(seen) => self.seen.insert(file, seen),
                None => self.seen.remove(&file),
            };
            if let Some(change) = outcome.change {
                changes.insert(path, change);
            }
        }
        for (file, change) in changes {
            if matches!(change, Change::Gone) {
                self.seen.remove(&**file);
            }
        }
    }
}

/// Threads with room for deeply nested documents, whatever a parser takes for each level.
pub(crate) fn readers() -> io::Result<ThreadPool> {
    let named = |index| format!("files-{index}");
    ThreadPoolBuilder::new().thread_name(named).stack_size(STACK_BYTES).build().map_err(io::Error::other)
}

const STACK_BYTES: usize = 16 << 20;

fn troubles(found: &Found) -> impl Iterator<Item = (Arc<Path>, Change)> {
    found.troubles.iter().map(|(path, message)| {
        let path: Arc<Path> = path.as_path().into();
        let report = unreadable(&path, message.clone(), "");
        (path, Change::Unreadable(report))
    })
}

/// Reads a file, unless it says what it said when its digest was `known`.
fn read(file: &Path, known: Option<u128>) -> Outcome {
    let path: Arc<Path> = file.into();
    let failed = |change| Outcome { seen: None, change: Some(change) };
    match contents(file) {
        Ok((seen, None)) => {
            let message = format!("the file is larger than {} MB", MAX_BYTES / 1_000_000);
            let change = Change::Unreadable(unreadable(
                &path,
                message,
                "split it, or move what is no mesh configuration elsewhere",
            ));
            Outcome { seen: Some(seen), change: Some(change) }
        }
        Ok((seen, Some(bytes))) => {
            let digest = xxh3_128(&bytes);
            let change = (known != Some(digest)).then(|| parsed(&path, digest, &bytes));
            Outcome { seen: Some(seen), change }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => failed(Change::Gone),
        Err(error) => failed(Change::Unreadable(unreadable(&path, format!("cannot be read: {error}"), ""))),
    }
}

/// A file's bytes with the signature that they had; none if they are too many.
fn contents(path: &Path) -> io::Result<(Seen, Option<Vec<u8>>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let changed =
        SystemTime::UNIX_EPOCH + Duration::from_secs(metadata.ctime().max(metadata.mtime()).unsigned_abs());
    let settled = changed.elapsed().is_ok_and(|age| age > COARSEST_TICK);
    let seen = Seen { signature: Signature::of(&metadata), settled };
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or_default());
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((seen, (bytes.len() <= MAX_BYTES).then_some(bytes)))
}

/// Parses; should that panic, the file counts as one that does not parse.
pub(crate) fn parsed(path: &Arc<Path>, digest: u128, bytes: &[u8]) -> Change {
    match panic::catch_unwind(AssertUnwindSafe(|| parse::parse(path, bytes))) {
        Ok(parsed) => Change::Parsed(digest, parsed),
        Err(_) => Change::Unreadable(unreadable(
            path,
            "reading this file failed by a fault of the program".to_owned(),
            "please report it, with the file",
        )),
    }
}

fn unreadable(path: &Arc<Path>, message: String, hint: &str) -> Report {
    Report {
        place: Place::file(path),
        severity: api::Severity::Error,
        object: None,
        field: String::new(),
        message,
        hint: hint.to_owned(),
        last_good: Vec::new(),
    }
}
