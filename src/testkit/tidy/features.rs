//! A crate brings only the features that somebody asked for, and its version stands in one place.

use super::{Problem, Tree, manifest};
use toml::Value;

/// Entries of the workspace's list with default features, and dependencies of members that are not taken from that list.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let root = manifest::table(tree, manifest::ROOT);
    let shared = manifest::at(&root, &["workspace", "dependencies"]).and_then(Value::as_table);
    let outside = shared.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    let wide =
        outside.filter(|(_, value)| value.get("default-features").and_then(Value::as_bool) != Some(false));
    let mut problems: Vec<Problem> = wide
        .map(|(name, _)| {
            let what = format!("{name} comes with its default features");
            Problem::new(manifest::ROOT, what, "add `default-features = false` and name the features in use")
        })
        .collect();
    for room in manifest::members(tree) {
        for used in room.dependencies.iter().filter(|used| !used.inherited) {
            let what = format!("{} has a version or path of its own here", used.package);
            let cure = "list it in the root Cargo.toml and write `workspace = true`";
            problems.push(Problem::new(&room.manifest, what, cure));
        }
    }
    problems
}

#[test]
fn default_features_and_own_versions_are_named() {
    let root = "[workspace]\nmembers = ['a']\n[workspace.dependencies]\na = { path = 'a' }\nb = '1'\nc = { version = '1', default-features = false }";
    let room = "[package]\nname = 'a'\n[dependencies]\nb.workspace = true\nd = '2'";
    let wanted = [
        "Cargo.toml: b comes with its default features; add `default-features = false` and name the features in use",
        "a/Cargo.toml: d has a version or path of its own here; list it in the root Cargo.toml and write `workspace = true`",
    ];
    assert_eq!(super::shown(check(&Tree::of(&[("Cargo.toml", root), ("a/Cargo.toml", room)]))), wanted);
}
