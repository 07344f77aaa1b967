//! Tests of distances, shares and label preferences.

use super::*;

fn locality(text: &str) -> Locality {
    Locality::parse(text)
}

fn failover(from: &str, to: &str) -> LocalityFailover {
    LocalityFailover { from: from.into(), to: to.into() }
}

#[test]
fn nearer_localities_have_smaller_distances() {
    let near = locality("r/z/s");
    let to = |text: &str| distance(&near, &locality(text), &[]);
    assert_eq!([to("r/z/s"), to("r/z/t"), to("r/y/s"), to("q/z/s")], [0, 1, 2, 3]);
}

#[test]
fn only_the_region_that_takes_over_stays_third() {
    let near = locality("r/z");
    let rules = [failover("q", "x"), failover("r", "p")];
    assert_eq!(distance(&near, &locality("p/z"), &rules), 3);
    assert_eq!(distance(&near, &locality("o/z"), &rules), 4);
    assert_eq!(region_distance(&near, &locality("r/y"), &rules), 0);
    assert_eq!(region_distance(&near, &locality("p/z"), &rules), 1);
    assert_eq!(region_distance(&near, &locality("o/z"), &rules), 2);
}

#[test]
fn priorities_have_no_holes() {
    let (a, b) = (locality("a"), locality("b"));
    let mut groups = vec![
        Group { priority: 4, ..Group::new(&a) },
        Group { priority: 2, ..Group::new(&b) },
        Group { priority: 4, ..Group::new(&b) },
    ];
    compact(&mut groups);
    assert_eq!(groups.iter().map(|g| g.priority).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn shares_are_rounded_up_and_the_unnamed_get_none() {
    let localities = [locality("a/x"), locality("a/y"), locality("a/z"), locality("b")];
    let mut groups: Vec<Group<'_>> =
        localities.iter().map(|l| Group { weight: Some(1), ..Group::new(l) }).collect();
    let entry = LocalityDistribute { from: "c/*".into(), to: [("a/*".to_owned(), 20)].into() };
    distribute(&mut groups, std::slice::from_ref(&entry), &locality("d"));
    assert_eq!(groups.iter().map(Group::weight).collect::<Vec<_>>(), [1, 1, 1, 1], "not for this client");
    distribute(&mut groups, &[entry], &locality("c/x"));
    assert_eq!(groups.iter().map(Group::weight).collect::<Vec<_>>(), [7, 7, 7, 1]);
    assert!(groups.iter().all(|g| g.members.is_empty()));
}

#[test]
fn leading_labels_decide_and_the_network_is_an_offset() {
    let place = |pairs: &[(&str, &str)]| Place {
        labels: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Place::default()
    };
    let client = place(&[("a", "1"), ("b", "2")]);
    let of = |a: &'static str, b: &'static str| move |l: &str| if l == "a" { a } else { b };
    assert_eq!(mismatch(&["a", "b"], &client, of("1", "2")), 0);
    assert_eq!(mismatch(&["a", "b"], &client, of("1", "9")), 1);
    assert_eq!(mismatch(&["a", "b"], &client, of("9", "2")), 2);
    assert_eq!(mismatch(&["a=9", "b"], &client, of("9", "2")), 0, "a literal replaces the client's value");
    let client = place(&[(NETWORK, "n"), ("b", "2")]);
    let of = |n: &'static str, b: &'static str| move |l: &str| if l == NETWORK { n } else { b };
    assert_eq!(mismatch(&[NETWORK, "b"], &client, of("n", "9")), 1);
    assert_eq!(mismatch(&[NETWORK, "b"], &client, of("m", "2")), 2);
    assert_eq!(mismatch(&[NETWORK, "b"], &client, of("m", "9")), 3);
}
