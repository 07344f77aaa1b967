//! The tidy checks: each takes the tree of files as a value and returns what is wrong with it, so that small made-up trees show that
//! each check can fail. The tests below run them over this repository.

use std::fmt;

mod code;
mod doors;
mod features;
mod heads;
mod lessons;
mod machine;
mod manifest;
mod orphans;
mod outside;
mod pure;
mod sizes;
mod tree;

use tree::Tree;

/// One breach of a rule: where, what is wrong, what to do.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    file: String,
    /// Counted from 1; none when the breach is the whole file's.
    line: Option<usize>,
    what: String,
    cure: String,
}

impl Problem {
    fn new(file: &str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into(), cure: cure.into() }
    }

    fn at(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, cure } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {what}; {cure}"),
            None => write!(f, "{file}: {what}; {cure}"),
        }
    }
}

/// Runs one check over the repository and fails with every breach that it found.
fn hold(check: fn(&Tree) -> Vec<Problem>) {
    let problems = check(Tree::of_repository());
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} breaches:\n{}\n", lines.len(), lines.join("\n"));
}

/// What the unit tests of the checks compare: the breaches as the reader sees them.
fn shown(problems: Vec<Problem>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn rooms_use_only_their_doors() {
    hold(doors::check);
}

#[test]
fn rooms_are_listed_in_the_order_of_the_flow() {
    hold(doors::check_order);
}

#[test]
fn pure_rooms_depend_on_no_crate_that_does_io() {
    hold(outside::check);
}

#[test]
fn pure_code_reads_no_clock_environment_or_file() {
    hold(pure::check);
}

#[test]
fn every_file_says_its_duty_first() {
    hold(heads::check);
}

#[test]
fn no_file_is_orphaned() {
    hold(orphans::check);
}

#[test]
fn files_stay_small() {
    hold(sizes::check);
}

#[test]
fn no_path_of_one_machine() {
    hold(machine::check);
}

#[test]
fn lessons_name_the_tests_that_hold_them() {
    hold(lessons::check);
}

#[test]
fn features_are_chosen_where_they_are_used() {
    hold(features::check);
}

#[test]
fn a_problem_says_where_what_and_what_to_do() {
    let problem = Problem::new("src/a.rs", "it is wrong", "mend it");
    assert_eq!(problem.to_string(), "src/a.rs: it is wrong; mend it");
    assert_eq!(problem.at(3).to_string(), "src/a.rs:3: it is wrong; mend it");
}
