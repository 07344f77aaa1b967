//! Layers, and differences against the naive comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::layer::Draft;
use super::{Layer, Names, Set};
use crate::encoded::Encoded;
use crate::kind::ResourceType::Cluster;
use crate::slot::{Slots, placeholder};
use crate::version::Version;

const NAMES: u8 = 12;

fn name(id: u8) -> Arc<str> {
    format!("c{id:02}").into()
}

/// A resource of one of four contents; every fourth is slotted.
fn entry(id: u8, content: u8) -> Arc<Encoded> {
    let text = if content == 3 { placeholder(0) } else { format!("{content}") };
    let bytes = [&[0x0a, text.len() as u8], text.as_bytes()].concat();
    Arc::new(Encoded::slotted(Cluster, name(id), Bytes::from(bytes)))
}

type Content = (BTreeMap<u8, u8>, BTreeSet<u8>);

fn layer((entries, hidden): &Content) -> Arc<Layer> {
    Arc::new(Layer::new(
        Cluster,
        entries.iter().map(|(id, content)| entry(*id, *content)),
        hidden.iter().copied().map(name),
    ))
}

/// The layer as the engine makes it: after `older`, with the same list of names if the names are the same.
fn successor(older: &Layer, content: &Content) -> Arc<Layer> {
    let fresh = layer(content);
    let same = fresh.names().list() == older.names().list();
    let names = if same { older.names().clone() } else { fresh.names().clone() };
    let draft = Draft {
        names,
        entries: fresh.entries().into(),
        hidden: fresh.hidden().clone(),
        lost: Box::default(),
    };
    Arc::new(Layer::successor(older, draft))
}

fn content() -> impl Strategy<Value = Content> {
    (
        prop::collection::btree_map(0..NAMES, 0..4_u8, 0..NAMES as usize),
        prop::collection::btree_set(0..NAMES, 0..3),
    )
}

fn slots() -> impl Strategy<Value = Slots> {
    "[ab]".prop_map(|value| Slots::new([value]))
}

/// What a set holds, worked out the simplest way.
fn naive(layers: &[Content]) -> BTreeMap<Arc<str>, u8> {
    let mut all = BTreeMap::new();
    for (entries, hidden) in layers {
        all.retain(|known, _| !hidden.iter().any(|id| name(*id) == *known));
        all.extend(entries.iter().map(|(id, content)| (name(*id), *content)));
    }
    all
}

fn versions(set: &Set) -> BTreeMap<Arc<str>, Version> {
    set.iter().map(|entry| (entry.name().clone(), set.version(entry))).collect()
}

/// Applies the difference to what a client has.
fn check_diff(new: &Set, old: &Set) {
    let (now, before) = (versions(new), versions(old));
    let diff = new.diff(old);
    let changed: Vec<_> = now
        .iter()
        .filter(|(name, version)| before.get(*name) != Some(version))
        .map(|(name, _)| name)
        .collect();
    let removed: Vec<_> = before.keys().filter(|name| !now.contains_key(*name)).collect();
    assert_eq!(diff.changed.iter().map(|entry| entry.name()).collect::<Vec<_>>(), changed);
    assert_eq!(diff.removed.iter().collect::<Vec<_>>(), removed);
    for entry in &diff.changed {
        assert!(
            Arc::ptr_eq(entry, new.get(entry.name()).unwrap()),
            "the diff carries the set's own resource"
        );
    }
    if new.is_same(old) {
        assert!(diff.is_empty());
    }
}

proptest! {
    #[test]
    fn later_layers_override_and_hide(contents in prop::collection::vec(content(), 0..4)) {
        let set = Set::new(Cluster, contents.iter().map(layer), Slots::default());
        let expected = naive(&contents);
        let seen: Vec<_> = set.iter().map(|entry| entry.name().clone()).collect();
        prop_assert_eq!(&seen, &expected.keys().cloned().collect::<Vec<_>>());
        prop_assert_eq!(set.len(), expected.len());
        prop_assert_eq!(set.is_empty(), expected.is_empty());
        for id in 0..NAMES {
            let found = set.get(&name(id)).map(|found| found.version);
            prop_assert_eq!(found, expected.get(&name(id)).map(|content| entry(id, *content).version));
        }
        let (least, most) = set.iter().size_hint();
        prop_assert!(least <= seen.len() && most.is_some_and(|most| seen.len() <= most));
    }

    #[test]
    fn a_diff_between_any_two_sets_is_the_naive_one(
        old in prop::collection::vec(content(), 0..4),
        new in prop::collection::vec(content(), 0..4),
        old_slots in slots(),
        new_slots in slots(),
    ) {
        let old = Set::new(Cluster, old.iter().map(layer), old_slots);
        let new = Set::new(Cluster, new.iter().map(layer), new_slots);
        check_diff(&new, &old);
        check_diff(&old, &new);
    }

    #[test]
    fn so_is_one_along_predecessors(
        steps in prop::collection::vec((0..3_usize, content(), slots()), 1..6),
    ) {
        let mut layers: Vec<_> = (0..3).map(|_| Arc::new(Layer::empty(Cluster))).collect();
        let mut sets = vec![Set::new(Cluster, layers.clone(), Slots::default())];
        for (at, content, slots) in steps {
            layers[at] = successor(&layers[at], &content);
            sets.push(Set::new(Cluster, layers.clone(), slots));
        }
        for old in &sets {
            for new in &sets {
                check_diff(new, old);
            }
        }
    }
}

fn contents(entries: &[(u8, u8)]) -> Content {
    (entries.iter().copied().collect(), BTreeSet::new())
}

#[test]
fn streams_of_a_class_share_the_diff_of_its_layer() {
    let first = layer(&contents(&[(1, 0), (2, 0), (5, 0)]));
    let second = successor(&first, &contents(&[(1, 1), (2, 0)]));
    let own = layer(&contents(&[(7, 0)]));
    let of = |layer: &Arc<Layer>, value: &str| {
        Set::new(Cluster, [layer.clone(), own.clone()], Slots::new([value.to_owned()]))
    };
    let diffs = ["a", "b"].map(|value| of(&second, value).diff(&of(&first, value)));
    assert!(Arc::ptr_eq(&diffs[0], &diffs[1]));
    assert_eq!(diffs[0].changed.len(), 1);
    assert_eq!(diffs[0].removed, [name(5)]);
}

#[test]
fn a_layer_with_equal_bytes_is_the_same_for_streams() {
    let first = layer(&contents(&[(1, 0)]));
    let second = successor(&first, &contents(&[(1, 1)]));
    let third = successor(&second, &contents(&[(1, 1)]));
    assert!(!Arc::ptr_eq(&second, &third));
    assert!(third.is_same(&second) && !third.is_same(&first));
    let set = |layer: &Arc<Layer>| Set::new(Cluster, [layer.clone()], Slots::default());
    assert!(set(&third).is_same(&set(&second)));
    // The diff from the first is still known.
    assert!(Arc::ptr_eq(&set(&third).diff(&set(&first)), &set(&second).diff(&set(&first))));
}

#[test]
fn an_override_keeps_a_lower_layers_change_from_the_stream() {
    let first = layer(&contents(&[(1, 0), (2, 0)]));
    let second = successor(&first, &contents(&[(1, 1), (2, 1)]));
    let above = layer(&contents(&[(1, 2)]));
    let set = |layer: &Arc<Layer>| Set::new(Cluster, [layer.clone(), above.clone()], Slots::default());
    let diff = set(&second).diff(&set(&first));
    assert_eq!(diff.changed.iter().map(|entry| entry.name().clone()).collect::<Vec<_>>(), [name(2)]);
}

#[test]
fn of_two_resources_of_a_name_the_last_counts() {
    let layer = Layer::new(Cluster, [entry(1, 0), entry(1, 1)], [name(4), name(3), name(4)]);
    assert_eq!(layer.len(), 1);
    assert_eq!(layer.get("c01").unwrap().version, entry(1, 1).version);
    assert_eq!(**layer.hidden(), [name(3), name(4)]);
    assert!(layer.names() == &Arc::new(Names::new([name(1)].into())));
}
