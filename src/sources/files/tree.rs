//! The folder's files as they are now, and every directory entry on which that rests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::links::Links;
use super::scan;

#[cfg(test)]
mod tests;

/// What was found at a path and below.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files that hold objects.
    pub(crate) files: BTreeSet<PathBuf>,
    /// What could not be looked at, and why; whatever is known there and below may still be there.
    pub(crate) troubles: BTreeMap<PathBuf, String>,
}

/// A walk over a part of the folder.
pub(crate) struct Walk<'a> {
    /// The folder, absolute.
    pub(crate) root: &'a Path,
    /// Takes down what the walk rested on.
    pub(crate) links: &'a mut Links,
    /// Called for each directory before it is read, so that no change after the reading goes unseen.
    pub(crate) watch: &'a mut dyn FnMut(&Path),
}

/// As deep as the kernel follows links in one path.
const MAX_LINKS: usize = 40;
/// Directories within directories.
const MAX_DEPTH: usize = 64;

impl Walk<'_> {
    /// Looks at a path of the folder, and all below it if it is a directory.
    pub(crate) fn look(&mut self, path: &Path) -> Found {
        let mut found = Found::default();
        let resolved = resolve(path);
        self.note(path, &resolved, path == self.root);
        match resolved.outcome {
            Ok(kind) => self.visit(path, &resolved.real, kind, &mut Vec::new(), &mut found),
            // A folder that is away as a whole was hardly emptied by its owner: it is being replaced, or its mount is.
            Err(error) if error.kind() != ErrorKind::NotFound || path == self.root => {
                found.troubles.insert(path.to_owned(), cause("cannot be looked at", &error));
            }
            Err(_) => {}
        }
        found
    }

    fn note(&mut self, path: &Path, resolved: &Resolved, always: bool) {
        if !always && !resolved.linked {
            return;
        }
        for (dir, name) in &resolved.hops {
            (self.watch)(dir);
            self.links.depends(dir, name, path);
        }
    }

    fn visit(
        &mut self,
        path: &Path,
        real: &Path,
        kind: FileType,
        above: &mut Vec<PathBuf>,
        found: &mut Found,
    ) {
        if kind.is_dir() {
            if above.iter().any(|dir| dir == real) || above.len() >= MAX_DEPTH {
                found
                    .troubles
                    .insert(path.to_owned(), "leads back to a directory above it, or is too deep".to_owned());
                return;
            }
            above.push(real.to_owned());
            self.list(path, real, above, found);
            above.pop();
        } else if path.file_name().is_some_and(scan::is_manifest) {
            if kind.is_file() {
                found.files.insert(path.to_owned());
            } else {
                found.troubles.insert(path.to_owned(), "is no regular file".to_owned());
            }
        }
    }

    fn list(&mut self, path: &Path, real: &Path, above: &mut Vec<PathBuf>, found: &mut Found) {
        (self.watch)(real);
        self.links.listed(real, path);
        let listing = fs::read_dir(real).and_then(|entries| {
            entries.map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)))).collect()
        });
        let entries: Vec<(OsString, FileType)> = match listing {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && path != self.root => return,
            Err(error) => {
                found.troubles.insert(path.to_owned(), cause("cannot be listed", &error));
                return;
            }
        };
        for (name, kind) in entries.into_iter().filter(|(name, _)| !scan::is_hidden(name)) {
            let (path, real) = (path.join(&name), real.join(&name));
            if kind.is_symlink() {
                self.follow(&path, &real, &name, above, found);
            } else {
                self.visit(&path, &real, kind, above, found);
            }
        }
    }

    fn follow(
        &mut self,
        path: &Path,
        real: &Path,
        name: &OsStr,
        above: &mut Vec<PathBuf>,
        found: &mut Found,
    ) {
        let resolved = resolve(real);
        self.note(path, &resolved, false);
        match resolved.outcome {
            Ok(kind) => self.visit(path, &resolved.real, kind, above, found),
            // A link into nothing is a file that is gone.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if scan::is_manifest(name) => {
                found.troubles.insert(path.to_owned(), cause("cannot be followed", &error));
            }
            Err(_) => {}
        }
    }
}

fn cause(what: &str, error: &io::Error) -> String {
    format!("{what}: {error}")
}

/// Where a path leads.
struct Resolved {
    /// The path without links, as far as it could be followed.
    real: PathBuf,
    /// The entries that decide it, as directory (without links) and name: each link on the way and the last one.
    hops: Vec<(PathBuf, OsString)>,
    /// Whether there was a link on the way.
    linked: bool,
    outcome: io::Result<FileType>,
}

/// Follows an absolute path link by link, as the kernel does, and notes what that rested on.
fn resolve(path: &Path) -> Resolved {
    let mut resolved = Resolved {
        real: PathBuf::from("/"),
        hops: Vec::new(),
        linked: false,
        outcome: fs::symlink_metadata("/").map(|root| root.file_type()),
    };
    let mut todo: VecDeque<OsString> = parts(path).collect();
    let mut budget = MAX_LINKS;
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            resolved.real.pop();
            continue;
        }
        let next = resolved.real.join(&part);
        let outcome = fs::symlink_metadata(&next).map(|entry| entry.file_type());
        let link = outcome.as_ref().is_ok_and(FileType::is_symlink);
        if link || outcome.is_err() || todo.is_empty() {
            resolved.hops.push((resolved.real.clone(), part));
        }
        if !link {
            resolved.real = next;
            let failed = outcome.is_err();
            resolved.outcome = outcome;
            if failed {
                return resolved;
            }
            continue;
        }
        resolved.linked = true;
        budget = budget.saturating_sub(1);
        let target = if budget == 0 { Err(io::Error::other("too many links")) } else { fs::read_link(&next) };
        match target {
            Ok(target) => {
                if target.is_absolute() {
                    resolved.real = PathBuf::from("/");
                }
                parts(&target).rev().for_each(|part| todo.push_front(part));
            }
            Err(error) => {
                resolved.outcome = Err(error);
                return resolved;
            }
        }
    }
    // The last step may have been `..` or a link to `/`.
    if let Ok(entry) = fs::symlink_metadata(&resolved.real) {
        resolved.outcome = Ok(entry.file_type());
    }
    resolved
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
