//! Each lesson of a past vulnerability names tests that exist.

use super::{Problem, Tree};

/// The list of the lessons.
const LIST: &str = "docs/lessons.md";

/// Rows of the list without a test, and tests that it names and that are not there.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let rows = tree.get(LIST).unwrap_or_default().lines().enumerate();
    let rows = rows.filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| Lesson "));
    rows.flat_map(|(at, row)| {
        let tests = tests(row);
        let none = tests.is_empty().then(|| "the lesson names no test".to_owned());
        let lost = tests.into_iter().filter(|(file, name)| !has(tree, file, name));
        let lost = lost.map(|(file, name)| format!("{file} has no test {name}"));
        let cure = "name one as `FILE::FUNCTION`";
        none.into_iter()
            .chain(lost)
            .map(move |what| Problem::new(LIST, what, cure).at(at + 1))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// What stands between backticks in the last column, as file and function.
fn tests(row: &str) -> Vec<(&str, &str)> {
    let column = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
    column.split('`').skip(1).step_by(2).filter_map(|test| test.split_once("::")).collect()
}

fn has(tree: &Tree, file: &str, name: &str) -> bool {
    tree.get(file).is_some_and(|text| text.contains(&format!("fn {name}(")))
}

#[test]
fn lessons_without_tests_are_named() {
    let list = "| Lesson | Rule | Test |\n|---|---|---|\n| one | r | `a.rs::it_holds` |\n| two | r | |\n| three | r | `a.rs::it_holds`, `a.rs::gone` |\n";
    let tree = Tree::of(&[(LIST, list), ("a.rs", "fn it_holds() {}")]);
    let wanted = [
        "docs/lessons.md:4: the lesson names no test; name one as `FILE::FUNCTION`",
        "docs/lessons.md:5: a.rs has no test gone; name one as `FILE::FUNCTION`",
    ];
    assert_eq!(super::shown(check(&tree)), wanted);
}
