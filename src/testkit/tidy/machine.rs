//! Nothing in the repository names a place on one developer's machine.

use super::{Problem, Tree, code};

/// Beginnings of such paths, put together here so that this file does not break its own rule.
const PLACES: [&str; 3] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "farm/")];

/// Lines of any text file that hold an absolute path which only some machine has.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.files() {
        for (number, line) in text.lines().enumerate() {
            if let Some(place) = PLACES.into_iter().find(|place| names(line, place)) {
                let what = format!("a path under {place} is of one machine only");
                let cure = "take it from the environment, a flag or the repository's root";
                problems.push(Problem::new(path, what, cure).at(number + 1));
            }
        }
    }
    problems
}

/// Whether a path begins with the place, rather than having it as a later part.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|i| line.as_bytes().get(i));
        !before
            .is_some_and(|b| code::is_word(b) || matches!(b, b'.' | b'-' | b'/' | b'}' | b')' | b'*' | b'~'))
    })
}

#[test]
fn only_absolute_paths_are_named() {
    let root = concat!("see /", "root/x and a/root/y\n");
    let tree =
        Tree::of(&[("a.md", root), ("b.rs", "$HOME/work/x"), ("c.sh", concat!("cd \"/", "work/main\"\n"))]);
    let rest = "is of one machine only; take it from the environment, a flag or the repository's root";
    let wanted = [
        format!("a.md:1: a path under {} {rest}", PLACES[1]),
        format!("c.sh:1: a path under {} {rest}", PLACES[0]),
    ];
    assert_eq!(super::shown(check(&tree)), wanted);
}
