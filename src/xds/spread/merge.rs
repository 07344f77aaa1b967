//! The counts of several replicas as one: each proxy is connected to one of them.

use std::collections::BTreeMap;

use api::ObjectKey;

use super::Spread;

/// How far objects have come with the proxies of all replicas together, by what each counts; in whatever order.
///
/// What a replica made of an older generation than another did is still needed, but not accepted.
pub fn merge<'a>(
    replicas: impl IntoIterator<Item = &'a BTreeMap<ObjectKey, Spread>>,
) -> BTreeMap<ObjectKey, Spread> {
    let mut all: BTreeMap<ObjectKey, Spread> = BTreeMap::new();
    for (key, spread) in replicas.into_iter().flatten() {
        match all.get_mut(key) {
            Some(known) => add(known, spread),
            None => drop(all.insert(key.clone(), spread.clone())),
        }
    }
    all
}

fn add(sum: &mut Spread, one: &Spread) {
    if one.generation > sum.generation {
        sum.generation = one.generation;
        sum.accepted = 0;
    }
    if one.generation == sum.generation {
        sum.accepted = sum.accepted.saturating_add(one.accepted);
    }
    sum.needed = sum.needed.saturating_add(one.needed);
    sum.refused = sum.refused.saturating_add(one.refused);
    // The smallest, so that it stays the same for as long as that proxy refuses.
    sum.refusal = [sum.refusal.take(), one.refusal.clone()].into_iter().flatten().min();
}

#[cfg(test)]
mod tests {
    use api::Kind;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::kind::ResourceType;
    use crate::spread::Refusal;

    type Counts = BTreeMap<ObjectKey, Spread>;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: name.into() }
    }

    fn refusal(proxy: &str) -> Refusal {
        Refusal { proxy: proxy.to_owned(), kind: ResourceType::Route, among: 1, words: "no".to_owned() }
    }

    fn counts(name: &str, generation: i64, [needed, accepted, refused]: [usize; 3]) -> Counts {
        let spread = Spread { generation, needed, accepted, refused, refusal: None };
        [(key(name), spread)].into()
    }

    #[test]
    fn counts_add_up_and_objects_of_one_replica_alone_stay() {
        let merged =
            merge([&counts("a", 1, [3, 2, 1]), &counts("b", 4, [1, 1, 0]), &counts("a", 1, [2, 2, 0])]);
        let mut expected = counts("a", 1, [5, 4, 1]);
        expected.extend(counts("b", 4, [1, 1, 0]));
        assert_eq!(merged, expected);
        assert_eq!(merge([]), Counts::new());
    }

    #[test]
    fn what_is_made_of_an_older_generation_is_needed_but_not_accepted() {
        let (old, new) = (counts("a", 1, [3, 3, 0]), counts("a", 2, [2, 1, 1]));
        let expected = counts("a", 2, [5, 1, 1]);
        assert_eq!(merge([&old, &new]), expected);
        assert_eq!(merge([&new, &old]), expected);
    }

    #[test]
    fn of_the_refusals_the_smallest_is_told() {
        let mut replicas = [counts("a", 1, [1, 0, 1]), counts("a", 1, [1, 0, 1]), counts("a", 1, [1, 1, 0])];
        for (replica, proxy) in replicas.iter_mut().zip(["y.shop", "x.shop"]) {
            replica.values_mut().for_each(|spread| spread.refusal = Some(refusal(proxy)));
        }
        let merged = merge(&replicas);
        assert_eq!(merged.values().map(|s| s.refusal.clone()).collect::<Vec<_>>(), [Some(refusal("x.shop"))]);
    }

    fn any_spread() -> impl Strategy<Value = Spread> {
        let refusal = proptest::option::of("[a-c]".prop_map(|proxy| refusal(&proxy)));
        (0..3_i64, 0..9_usize, 0..9_usize, 0..9_usize, refusal).prop_map(
            |(generation, needed, accepted, refused, refusal)| Spread {
                generation,
                needed,
                accepted,
                refused,
                refusal,
            },
        )
    }

    proptest! {
        #[test]
        fn neither_the_order_nor_the_grouping_matters(
            replicas in vec(btree_map("[ab]".prop_map(|name| key(&name)), any_spread(), 0..3), 0..4),
            cut in 0..4_usize,
        ) {
            let whole = merge(&replicas);
            prop_assert_eq!(&whole, &merge(replicas.iter().rev()));
            let (left, right) = replicas.split_at(cut.min(replicas.len()));
            prop_assert_eq!(&whole, &merge([&merge(left), &merge(right)]));
        }
    }
}
