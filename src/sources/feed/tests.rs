//! What readers of a feed are told, and what not.

use api::kubernetes::Namespace;
use api::{Meta, Object};
use futures::FutureExt;

use super::*;

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: "".into(), name: name.into() }
}

/// A namespace that comes with a label, or goes.
fn event(name: &str, label: Option<&str>) -> Event {
    let object = label.map(|label| {
        let labels = [("team".to_owned(), label.to_owned())].into();
        let meta = Meta { name: name.into(), labels, ..Meta::default() };
        Arc::new(AnyObject::Namespace(Arc::new(Object { meta, spec: Namespace::default() })))
    });
    Event { key: key(Kind::Namespace, name), object }
}

/// Of each namespace its label.
fn feed() -> Feed<String> {
    Feed::new(&[Kind::Namespace], |object| match object {
        AnyObject::Namespace(namespace) => namespace.meta.labels.get("team").cloned(),
        _ => None,
    })
}

/// What is told now, as `name=label` or `name` if it is gone; none if the reader has to wait.
fn told(reader: &mut Reader<String>) -> Option<Vec<String>> {
    let news = reader.next().now_or_never()?;
    let line = |(key, label): (ObjectKey, Option<String>)| match label {
        Some(label) => format!("{}={label}", key.name),
        None => key.name.to_string(),
    };
    Some(news.into_iter().map(line).collect())
}

#[test]
fn nothing_is_told_before_all_sources_have_told_all() {
    let feed = feed();
    let mut reader = feed.read();
    feed.take(&[event("shop", Some("a"))]);
    assert_eq!(told(&mut reader), None);
    feed.complete();
    assert_eq!(told(&mut reader), Some(vec!["shop=a".to_owned()]));
    assert_eq!(told(&mut reader), None);
}

#[test]
fn that_there_is_nothing_is_told_once() {
    let feed = feed();
    feed.complete();
    let mut reader = feed.read();
    assert_eq!(told(&mut reader), Some(Vec::new()));
    assert_eq!(told(&mut reader), None);
}

#[test]
fn who_reads_slowly_is_told_the_last_of_several_changes() {
    let feed = feed();
    feed.complete();
    let mut reader = feed.read();
    feed.take(&[event("bank", Some("a")), event("shop", Some("a"))]);
    feed.take(&[event("shop", Some("b"))]);
    feed.take(&[event("bank", None)]);
    assert_eq!(told(&mut reader), Some(vec!["bank".to_owned(), "shop=b".to_owned()]));
}

#[test]
fn who_reads_late_is_told_what_is_there() {
    let feed = feed();
    feed.complete();
    feed.take(&[event("bank", Some("a")), event("shop", Some("a"))]);
    feed.take(&[event("bank", None)]);
    assert_eq!(told(&mut feed.read()), Some(vec!["shop=a".to_owned()]));
}

#[test]
fn what_readers_do_not_see_is_no_change() {
    let feed = feed();
    feed.complete();
    let mut reader = feed.read();
    assert_eq!(told(&mut reader), Some(Vec::new()));
    feed.take(&[Event { key: key(Kind::Node, "n"), object: None }, event("shop", None)]);
    assert_eq!(told(&mut reader), None);
    feed.take(&[event("shop", Some("a"))]);
    assert_eq!(told(&mut reader), Some(vec!["shop=a".to_owned()]));
    feed.take(&[event("shop", Some("a"))]);
    assert_eq!(told(&mut reader), None);
}

#[tokio::test]
async fn a_waiting_reader_is_woken() {
    let feed = feed();
    feed.complete();
    let mut reader = feed.read();
    reader.next().await;
    let waiting = tokio::spawn(async move { reader.next().await.len() });
    tokio::task::yield_now().await;
    feed.take(&[event("shop", Some("a"))]);
    assert_eq!(waiting.await.expect("no panic"), 1);
}
