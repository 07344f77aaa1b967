//! What is lent, to whom, and for how long.

use super::*;
use crate::frame::Writer;
use crate::kind::ResourceType::Cluster;
use crate::protocol::Response;
use crate::slot::{Slots, placeholder};

/// Resources of about a kilobyte each.
fn resources(number: usize) -> Vec<Arc<Encoded>> {
    let body = |at: usize| Bytes::from(vec![at as u8; 1000 + at % 7]);
    (0..number).map(|at| Arc::new(Encoded::whole(Cluster, format!("name-{at:05}"), body(at)))).collect()
}

fn response(variant: Variant, resources: Vec<Arc<Encoded>>, slot: &str) -> Response {
    Response {
        variant,
        kind: Cluster,
        nonce: "7-1".to_owned(),
        version: String::new(),
        resources,
        removed: Vec::new(),
        slots: Slots::new([slot]),
    }
}

fn written(mut writer: Writer) -> Vec<Bytes> {
    std::iter::from_fn(|| writer.next_chunk()).collect()
}

/// What is written without pages.
fn plainly(response: &Response) -> Vec<u8> {
    written(Writer::new(response.clone(), "p").expect("short")).concat()
}

fn lent(response: &Response, pages: &Pages) -> Writer {
    Writer::new(response.clone(), "p").expect("short").with(pages)
}

/// How many of the chunks are those of the other list.
fn in_common(a: &[Bytes], b: &[Bytes]) -> usize {
    a.iter().filter(|a| b.iter().any(|b| a.as_ptr() == b.as_ptr())).count()
}

#[test]
fn two_that_are_written_at_once_have_their_pages_in_common() {
    for variant in [Variant::Sotw, Variant::Delta] {
        let (pages, meant) = (Pages::default(), response(variant, resources(2000), ""));
        let (one, other) = (lent(&meant, &pages), lent(&meant, &pages));
        let (one, other) = (written(one), written(other));
        assert_eq!((one.concat(), other.concat()), (plainly(&meant), plainly(&meant)));
        assert!(in_common(&one, &other) * 10 > one.len() * 9, "{} of {}", in_common(&one, &other), one.len());
    }
}

#[test]
fn one_alone_leaves_nothing_and_what_is_left_goes_with_the_last() {
    let (pages, meant) = (Pages::default(), response(Variant::Delta, resources(2000), ""));
    let alone = lent(&meant, &pages);
    let shelf = Arc::downgrade(alone.shelf.as_ref().expect("a shelf"));
    written(alone);
    assert!(shelf.upgrade().is_none(), "nobody holds it");
    let (one, other) = (lent(&meant, &pages), lent(&meant, &pages));
    let shelf = Arc::downgrade(one.shelf.as_ref().expect("a shelf"));
    written(one);
    let kept = |shelf: &Weak<Shelf>| lock(&shelf.upgrade().expect("held").0).len;
    assert!(kept(&shelf) > 1_900_000, "{}", kept(&shelf));
    drop(other);
    assert!(shelf.upgrade().is_none(), "nobody holds it any more");
}

#[test]
fn those_that_differ_in_one_place_have_the_rest_in_common() {
    let pages = Pages::default();
    let all = resources(3000);
    let mut without = all.clone();
    without.remove(10);
    let (one, other) = (response(Variant::Delta, all, ""), response(Variant::Delta, without, ""));
    let (first, second) = (lent(&one, &pages), lent(&other, &pages));
    let (first, second) = (written(first), written(second));
    assert_eq!(second.concat(), plainly(&other));
    assert!(
        in_common(&first, &second) * 2 > first.len(),
        "{} of {}",
        in_common(&first, &second),
        first.len()
    );
}

#[test]
fn what_has_a_proxys_own_values_is_nobody_elses() {
    let pages = Pages::default();
    let mut all = resources(1000);
    let text = placeholder(0);
    let body = [&[0x0a, text.len() as u8], text.as_bytes()].concat();
    all.insert(500, Arc::new(Encoded::slotted(Cluster, "name-00499-own", body.into())));
    assert!(all[500].slotted);
    let [one, other] = ["a", "other"].map(|slot| response(Variant::Delta, all.clone(), slot));
    let (first, second) = (lent(&one, &pages), lent(&other, &pages));
    let (first, second) = (written(first).concat(), written(second).concat());
    assert_eq!((&first, &second), (&plainly(&one), &plainly(&other)));
    assert_ne!(first, second);
}

#[test]
fn the_two_variants_and_other_resources_are_told_apart() {
    let pages = Pages::default();
    let (sotw, delta) =
        (response(Variant::Sotw, resources(600), ""), response(Variant::Delta, resources(600), ""));
    let _held = lent(&sotw, &pages);
    for meant in [&sotw, &delta, &sotw, &delta] {
        assert_eq!(written(lent(meant, &pages)).concat(), plainly(meant));
    }
}

#[test]
fn short_responses_are_written_without() {
    assert!(Pages::default().shelf(LONG - 1).is_none());
    assert!(Pages::default().shelf(LONG).is_some());
}

#[test]
fn where_there_is_no_room_nothing_is_added_and_what_is_kept_is_lent() {
    let (pages, all) = (Pages::default(), resources(2));
    let shelf = pages.shelf(LONG).expect("a shelf");
    let [first, second] = [&all[..1], &all[1..]];
    let gather = || vec![Bytes::from(vec![0; ROOM])];
    let run = |of| shelf.run(Variant::Delta, of, gather);
    assert!(run(first).is_none(), "nobody else is there");
    let _other = pages.shelf(LONG);
    let kept = run(first).expect("a run");
    assert!(Arc::ptr_eq(&kept, &run(first).expect("a run")));
    assert!(run(second).is_none(), "there is no room");
    assert_eq!(lock(&shelf.0).len, ROOM);
}
