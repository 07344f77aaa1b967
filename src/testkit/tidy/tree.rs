//! The repository's text files as one value, read from disk once or made up by a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// Folders, by path from the root, that hold nothing of our own writing: build output and recorded data.
const LEFT_OUT: [&str; 3] = [".git", "target", "e2e/conformance/cases"];
/// Files longer than this are data.
const LONGEST: u64 = 1 << 20;

/// Text files by path from the repository's root, with `/` between the parts.
pub(super) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// This repository, as it stands on disk.
    pub(super) fn of_repository() -> &'static Self {
        static TREE: LazyLock<Tree> = LazyLock::new(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"))
                .ancestors()
                .nth(2)
                .expect("testkit sits in src/testkit");
            let mut files = BTreeMap::new();
            read(root, "", &mut files);
            assert!(files.contains_key("Cargo.toml"), "{} is not the repository's root", root.display());
            Tree(files)
        });
        &TREE
    }

    /// A made-up repository.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// The text of the file at a path.
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// All files, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files, by path.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        // A file that an editor or a build removes while we look is none of the repository's.
        let Ok(kind) = entry.metadata() else { continue };
        if kind.is_dir() && !LEFT_OUT.contains(&path.as_str()) {
            read(&entry.path(), &path, files);
        } else if kind.is_file()
            && kind.len() <= LONGEST
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.insert(path, text);
        }
    }
}

/// Whether a Rust file holds tests, benches or a fuzz target only, by where it stands.
pub(super) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "fuzz"))
}

#[test]
fn tests_are_known_by_their_place() {
    assert!(is_test("src/model/host/tests.rs"));
    assert!(is_test("src/model/tests/order.rs"));
    assert!(is_test("src/store/benches/next.rs"));
    assert!(!is_test("src/model/contests.rs"));
}
