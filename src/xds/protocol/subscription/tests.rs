//! Names that come and go.

use std::sync::Arc;

use super::Subscription;
use crate::set::NameTable;

fn names(text: &str) -> Vec<Arc<str>> {
    text.split_whitespace().map(Arc::from).collect()
}

/// Start, added, removed, what is left.
#[test]
fn names_are_added_and_removed() {
    let cases = [
        ("", "a b", "", "a b"),
        ("a b", "", "a", "b"),
        ("a b", "c", "b", "a c"),
        ("a", "a", "", "a"),
        ("a", "", "x", "a"),
        ("a b", "b", "b", "a b"),
        ("a", "", "a", ""),
    ];
    for (start, add, remove, left) in cases {
        let table = NameTable::default();
        let mut subscription = Subscription::new(false, names(start), &table);
        subscription.change(&names(add), &names(remove), &table);
        assert_eq!(subscription.names(), names(left), "{start} + {add} - {remove}");
        for name in names("a b c x") {
            assert_eq!(subscription.covers(&name), left.contains(&*name));
        }
    }
}

#[test]
fn replacing_says_what_is_new() {
    let table = NameTable::default();
    let mut subscription = Subscription::new(false, names("a b"), &table);
    assert_eq!(subscription.replace(names("b c d"), &table), names("c d"));
    assert_eq!(subscription.replace(names("b"), &table), names(""));
    assert_eq!(subscription.names(), names("b"));
}

#[test]
fn a_wildcard_covers_all_and_contains_what_was_said() {
    let table = NameTable::default();
    let mut subscription = Subscription::new(true, names("a"), &table);
    assert!(subscription.covers("x") && !subscription.contains("x") && subscription.contains("a"));
    subscription.set_wildcard(false);
    assert!(!subscription.covers("x") && subscription.covers("a"));
}

#[test]
fn equal_lists_are_one() {
    let table = NameTable::default();
    let one = Subscription::new(false, names("a b"), &table);
    let mut two = Subscription::new(false, names("a"), &table);
    two.change(&names("b"), &[], &table);
    assert!(Arc::ptr_eq(one.names.as_ref().expect("names"), two.names.as_ref().expect("names")));
}
