//! No file outgrows what one can hold in mind.

use super::{Problem, Tree, code, tree};

/// Lines of a file, those of its tests not counted. The aim is 150 and the soft limit 300; only this one is held.
const HARD_LIMIT: usize = 600;

/// Files over the hard limit.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let own = tree.rust().filter(|(path, _)| !tree::is_test(path));
    let sized = own.map(|(path, text)| (path, lines_without_tests(text)));
    sized
        .filter(|(_, lines)| *lines > HARD_LIMIT)
        .map(|(path, lines)| {
            let what = format!("{lines} lines without tests, over the limit of {HARD_LIMIT}");
            Problem::new(path, what, "split it where its duties part")
        })
        .collect()
}

fn lines_without_tests(text: &str) -> usize {
    let tests = code::test_spans(&code::blank(text));
    let in_tests = tests.into_iter().filter_map(|span| text.get(span)).map(|span| span.lines().count());
    text.lines().count() - in_tests.sum::<usize>()
}

#[test]
fn only_lines_that_are_no_tests_count() {
    let tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";
    let (full, over) = ("\n".repeat(HARD_LIMIT) + tests, "\n".repeat(HARD_LIMIT + 1) + tests);
    let tree = Tree::of(&[("src/full.rs", &full), ("src/over.rs", &over), ("src/over/tests.rs", &over)]);
    let found = super::shown(check(&tree));
    assert_eq!(
        found,
        ["src/over.rs: 601 lines without tests, over the limit of 600; split it where its duties part"]
    );
}
