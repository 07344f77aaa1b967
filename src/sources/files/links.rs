//! Which paths of the folder rest on which directory entries: from an entry that changed to the paths to look at again.
//!
//! A plain file rests on its entry in a directory that was listed. A file or directory behind symbolic links rests on
//! every link on the way and on the entry at its end, wherever they are; so the swap of a mount's `..data` names all the
//! files behind it, and a change in the directory behind a link is seen as the link's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// The index. Directories are given without links in their paths; paths of the folder as the walk names them.
#[derive(Debug, Default)]
pub(crate) struct Links {
    directories: BTreeMap<PathBuf, Directory>,
    reasons: BTreeMap<PathBuf, BTreeSet<Reason>>,
}

#[derive(Debug, Default)]
struct Directory {
    /// The paths under which its entries were listed.
    listed: BTreeSet<PathBuf>,
    /// For names in it, the paths that rest on them through links.
    names: BTreeMap<OsString, BTreeSet<PathBuf>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Listed(PathBuf),
    Entry(PathBuf, OsString),
}

impl Links {
    /// `path` is a directory of the folder and was listed from `dir`.
    pub(crate) fn listed(&mut self, dir: &Path, path: &Path) {
        self.directories.entry(dir.to_owned()).or_default().listed.insert(path.to_owned());
        self.reasons.entry(path.to_owned()).or_default().insert(Reason::Listed(dir.to_owned()));
    }

    /// What is at `path` rests on the entry `name` of `dir`.
    pub(crate) fn depends(&mut self, dir: &Path, name: &OsStr, path: &Path) {
        let names = &mut self.directories.entry(dir.to_owned()).or_default().names;
        names.entry(name.to_owned()).or_default().insert(path.to_owned());
        self.reasons
            .entry(path.to_owned())
            .or_default()
            .insert(Reason::Entry(dir.to_owned(), name.to_owned()));
    }

    /// Forgets on what a path and all below it rest; says which directories that concerned.
    pub(crate) fn forget(&mut self, path: &Path) -> BTreeSet<PathBuf> {
        let below = self
            .reasons
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
            .take_while(|(below, _)| below.starts_with(path));
        let below: Vec<PathBuf> = below.map(|(below, _)| below.clone()).collect();
        let mut concerned = BTreeSet::new();
        for path in below {
            for reason in self.reasons.remove(&path).unwrap_or_default() {
                concerned.insert(self.release(&path, reason));
            }
        }
        concerned
    }

    fn release(&mut self, path: &Path, reason: Reason) -> PathBuf {
        let (Reason::Listed(dir) | Reason::Entry(dir, _)) = &reason;
        if let Some(directory) = self.directories.get_mut(dir) {
            match &reason {
                Reason::Listed(_) => {
                    directory.listed.remove(path);
                }
                Reason::Entry(_, name) => {
                    if let Some(paths) = directory.names.get_mut(name) {
                        paths.remove(path);
                        if paths.is_empty() {
                            directory.names.remove(name);
                        }
                    }
                }
            }
            if directory.listed.is_empty() && directory.names.is_empty() {
                self.directories.remove(dir);
            }
        }
        let (Reason::Listed(dir) | Reason::Entry(dir, _)) = reason;
        dir
    }

    /// Whether anything rests on a directory.
    pub(crate) fn needs(&self, dir: &Path) -> bool {
        self.directories.contains_key(dir)
    }

    /// The paths that an entry concerns: those that rest on it through links, and the entry itself where its directory
    /// was listed, unless its name is hidden.
    pub(crate) fn concerned(&self, dir: &Path, name: &OsStr) -> BTreeSet<PathBuf> {
        let Some(directory) = self.directories.get(dir) else { return BTreeSet::new() };
        let mut paths = directory.names.get(name).cloned().unwrap_or_default();
        if !super::scan::is_hidden(name) {
            paths.extend(directory.listed.iter().map(|path| path.join(name)));
        }
        paths
    }

    /// The paths under which a directory was listed.
    pub(crate) fn listings(&self, dir: &Path) -> impl Iterator<Item = &PathBuf> {
        self.directories.get(dir).into_iter().flat_map(|directory| &directory.listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<const N: usize>(paths: [&str; N]) -> BTreeSet<PathBuf> {
        paths.into_iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_swapped_link_names_all_that_is_behind_it() {
        let mut links = Links::default();
        let (root, data, old) = (Path::new("/c"), OsStr::new("..data"), Path::new("/c/..1"));
        links.listed(root, root);
        for file in ["a.yaml", "b.yaml"] {
            let path = root.join(file);
            links.depends(root, OsStr::new(file), &path);
            links.depends(root, data, &path);
            links.depends(old, OsStr::new(file), &path);
        }
        assert_eq!(links.concerned(root, data), paths(["/c/a.yaml", "/c/b.yaml"]));
        assert_eq!(links.concerned(old, OsStr::new("a.yaml")), paths(["/c/a.yaml"]));
        assert_eq!(links.concerned(root, OsStr::new("new.yaml")), paths(["/c/new.yaml"]));
        assert_eq!(links.concerned(root, OsStr::new("..data_tmp")), paths([]));

        assert_eq!(links.forget(&root.join("a.yaml")), paths(["/c", "/c/..1"]));
        assert!(links.needs(old), "b.yaml still is behind it");
        links.forget(&root.join("b.yaml"));
        assert!(!links.needs(old));
        assert!(links.needs(root));
        links.forget(root);
        assert!(!links.needs(root));
    }

    #[test]
    fn forgetting_a_directory_forgets_what_is_below_and_not_beside() {
        let mut links = Links::default();
        for dir in ["/c", "/c/a", "/c/a/x", "/c/a-b"] {
            links.listed(Path::new(dir), Path::new(dir));
        }
        assert_eq!(links.forget(Path::new("/c/a")), paths(["/c/a", "/c/a/x"]));
        assert!(links.needs(Path::new("/c/a-b")));
        assert!(!links.needs(Path::new("/c/a/x")));
    }
}
