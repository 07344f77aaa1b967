//! What is held back until the first look is complete, and what is dropped.

use api::Kind;

use super::*;

fn reading(name: &str, object: bool) -> Reading {
    let key = ObjectKey { kind: Kind::Namespace, namespace: "".into(), name: name.into() };
    let meta = api::Meta { name: name.into(), ..api::Meta::default() };
    let content = AnyObject::NotServed(Kind::Namespace, Box::new(meta));
    Reading { key, object: object.then(|| Arc::new(content)), reports: Vec::new() }
}

fn changes(batch: Option<Batch>) -> Option<(bool, Vec<String>)> {
    let batch = batch?;
    let sign = |event: &Event| if event.object.is_some() { '+' } else { '-' };
    Some((batch.complete, batch.events.iter().map(|e| format!("{}{}", sign(e), e.key.name)).collect()))
}

#[test]
fn the_first_batch_waits_for_every_scope_and_for_the_last_of_them_to_be_known() {
    let mut state = State::new(true);
    state.add(1);
    state.take(1, Change::Listed(vec![reading("a", true), reading("b", true)]));
    assert!(state.batch().is_none());
    state.add(2);
    state.close();
    assert!(state.batch().is_none());
    state.take(1, Change::Deleted(reading("b", true)));
    state.take(2, Change::Absent);
    assert_eq!(changes(state.batch()), Some((true, vec!["+a".to_owned()])));
    assert!(state.batch().is_none());
    state.add(3);
    state.take(1, Change::Applied(reading("c", true)));
    assert_eq!(changes(state.batch()), Some((false, vec!["+c".to_owned()])));
}

#[test]
fn what_an_ended_watch_still_says_is_dropped() {
    let mut state = State::new(false);
    state.add(1);
    state.take(1, Change::Listed(vec![reading("a", true)]));
    assert_eq!(changes(state.batch()), Some((true, vec!["+a".to_owned()])));
    state.remove(1);
    state.take(1, Change::Applied(reading("b", true)));
    assert_eq!(changes(state.batch()), Some((false, vec!["-a".to_owned()])));
}

#[test]
fn nothing_at_all_is_a_complete_look_too() {
    assert_eq!(changes(State::new(false).batch()), Some((true, Vec::new())));
}
