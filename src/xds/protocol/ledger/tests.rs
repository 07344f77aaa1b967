//! Nonces, and the names in Envoy's words.

use std::sync::Arc;
use std::time::Duration;

use super::{Content, Ledger, OUTSTANDING, Rejection, Reply, Sent};

const NOW: Duration = Duration::from_secs(1);

fn sent(nonce: u64) -> Sent {
    Sent { nonce, version: format!("v{nonce}"), at: NOW }
}

fn changes(epoch: u64) -> Content {
    Content { changes: Some(epoch), ..Content::default() }
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn refusal(message: &str) -> Rejection {
    Rejection { code: 13, message: message.to_owned() }
}

#[test]
fn an_answer_stands_for_all_responses_before_it() {
    let mut ledger = Ledger::default();
    for nonce in 1..=3 {
        ledger.send(sent(nonce), changes(nonce), names(&["a", "b"]));
    }
    assert_eq!(ledger.unanswered().changes, Some(1));
    assert_eq!(ledger.reply(Some(2), None, NOW), Reply::Ack);
    assert_eq!(ledger.unanswered().changes, Some(3));
    assert_eq!(ledger.acked(), Some(&sent(2)));
    assert_eq!(ledger.reply(Some(1), None, NOW), Reply::Stale);
    assert_eq!(ledger.reply(None, None, NOW), Reply::Stale);
    assert_eq!(ledger.reply(Some(3), None, NOW), Reply::Ack);
    assert_eq!(ledger.reply(Some(3), None, NOW), Reply::Again);
    assert_eq!(ledger.unanswered(), Content::default());
}

#[test]
fn a_refusal_is_remembered_until_something_is_accepted() {
    let mut ledger = Ledger::default();
    ledger.send(sent(1), changes(4), names(&["a", "b"]));
    assert_eq!(ledger.reply(Some(1), Some(refusal("bad")), NOW), Reply::Nack);
    assert_eq!((ledger.rejected(), ledger.acked()), (Some(4), None));
    assert_eq!(ledger.rejection().map(|(_, why)| why.message.as_str()), Some("bad"));
    ledger.send(sent(2), changes(5), names(&["a", "b"]));
    assert_eq!(ledger.rejected(), Some(4));
    assert_eq!(ledger.reply(Some(2), None, NOW), Reply::Ack);
    assert_eq!((ledger.rejected(), ledger.rejection()), (None, None));
    ledger.send(sent(3), changes(6), names(&["a", "b"]));
    ledger.send(sent(4), Content { repeats: true, ..changes(0) }, names(&["a", "b"]));
    assert_eq!(ledger.reply(Some(3), Some(refusal("bad")), NOW), Reply::Nack);
    assert_eq!(ledger.reply(Some(4), None, NOW), Reply::Ack);
    assert_eq!(ledger.rejected(), Some(6), "the good part alone says nothing of the bad one");
    ledger.send(sent(5), changes(7), names(&["a", "b"]));
    assert_eq!(ledger.reply(Some(5), None, NOW), Reply::Ack);
    // Envoy's words count whatever response they speak of.
    assert_eq!(ledger.reply(Some(1), Some(refusal("late")), NOW), Reply::Nack);
    assert!(ledger.rejection().is_some());
}

#[test]
fn a_client_that_never_answers_costs_no_more_and_forgets_no_wait() {
    let mut ledger = Ledger::default();
    for nonce in 1..=1000 {
        ledger.send(sent(nonce), changes(nonce), names(&["a", "b"]));
    }
    assert_eq!(ledger.outstanding.len(), OUTSTANDING);
    assert_eq!(ledger.unanswered().changes, Some(1));
}

#[test]
fn names_are_read_from_envoys_words() {
    let names = |message: &str| refusal(message).names();
    assert_eq!(
        names(
            "Error adding/updating cluster(s) outbound|80||a.b: bad ring, sizes, outbound|81||a.b: no: such"
        ),
        ["outbound|80||a.b", "outbound|81||a.b"]
    );
    assert_eq!(
        names("Error adding/updating listener(s) badl: Didn't find a filter\nbadl2: error adding: 'x'\n"),
        ["badl", "badl2"]
    );
    assert_eq!(names("missing ): (("), Vec::<String>::new());
    assert_eq!(names("malformed IP address: x. Consider setting resolver_name"), Vec::<String>::new());
}

#[test]
fn a_rejection_is_about_what_it_blames_or_else_about_all_that_was_refused() {
    let mut ledger = Ledger::default();
    ledger.send(sent(1), changes(1), names(&["a"]));
    ledger.send(sent(2), changes(2), names(&["c", "b", "a"]));
    assert_eq!(ledger.unanswered_names().count(), 4);
    let of_nobody = "Only unique values for domains are permitted";
    assert_eq!(ledger.reply(Some(2), Some(refusal(of_nobody)), NOW), Reply::Nack);
    assert_eq!(ledger.refused(), names(&["a", "b", "c"]));
    ledger.send(sent(3), changes(3), names(&["a", "b"]));
    let of_b = "Error adding/updating cluster(s) b: no such thing";
    assert_eq!(ledger.reply(Some(3), Some(refusal(of_b)), NOW), Reply::Nack);
    assert_eq!(ledger.refused(), names(&["b"]));
    assert_eq!(ledger.reply(Some(1), Some(refusal("late")), NOW), Reply::Nack);
    assert_eq!(ledger.refused(), names(&[]), "which response it was is not known any more");
    ledger.send(sent(4), changes(4), names(&["a"]));
    assert_eq!(ledger.reply(Some(4), Some(refusal(of_nobody)), NOW), Reply::Nack);
    ledger.send(sent(5), changes(5), names(&["a"]));
    assert_eq!(ledger.reply(Some(5), None, NOW), Reply::Ack);
    assert_eq!((ledger.refused(), ledger.unanswered_names().count()), ([].as_slice(), 0));
}
