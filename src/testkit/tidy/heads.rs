//! Every Rust file begins with a line that says its duty.

use super::{Problem, Tree};

/// Files whose first line is not `//!` and a word or more.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let silent = tree.rust().filter(|(_, text)| {
        let duty = text.lines().next().and_then(|line| line.strip_prefix("//!"));
        duty.is_none_or(|duty| duty.trim().is_empty())
    });
    silent
        .map(|(path, _)| {
            let what = "the first line does not say what the file is for";
            Problem::new(path, what, "begin it with `//!` and one sentence on its duty").at(1)
        })
        .collect()
}

#[test]
fn a_file_without_a_head_is_named() {
    let tree = Tree::of(&[
        ("src/a.rs", "//! Does a.\n"),
        ("src/b.rs", "use x;\n"),
        ("src/c.rs", "//!\n"),
        ("d.md", ""),
    ]);
    let found = super::shown(check(&tree));
    let rest =
        "the first line does not say what the file is for; begin it with `//!` and one sentence on its duty";
    assert_eq!(found, [format!("src/b.rs:1: {rest}"), format!("src/c.rs:1: {rest}")]);
}
