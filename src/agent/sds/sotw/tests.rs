//! The state-of-the-world stream without a wire.

use envoy::google::rpc::Status;
use envoy::service::discovery::v3::DiscoveryRequest;

use super::Sotw;
use crate::sds::store::{Entry, Table};

fn table(entries: &[(&str, &str)]) -> Table {
    entries
        .iter()
        .map(|(name, content)| ((*name).to_owned(), Entry::trusted_ca(name, content.as_bytes().to_vec())))
        .collect()
}

fn request(names: &[&str], nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        resource_names: names.iter().map(|&n| n.to_owned()).collect(),
        response_nonce: nonce.to_owned(),
        ..Default::default()
    }
}

#[test]
fn answers_once_and_then_only_news() {
    let mut stream = Sotw::default();
    let one = table(&[("ROOTCA", "1"), ("default", "x")]);
    assert_eq!(stream.on_request(request(&["ROOTCA"], "")), None);
    let first = stream.respond(&one).unwrap();
    assert_eq!((first.resources.len(), first.nonce.as_str()), (1, "1"));
    assert_eq!(stream.respond(&one), None);
    stream.on_request(request(&["ROOTCA"], "1"));
    assert_eq!(stream.respond(&one), None, "an ACK is not answered");
    assert_eq!(stream.respond(&table(&[("ROOTCA", "1"), ("default", "y")])), None, "not subscribed");
    let second = stream.respond(&table(&[("ROOTCA", "2")])).unwrap();
    assert_ne!(second.version_info, first.version_info);
}

#[test]
fn equal_content_has_an_equal_version_on_every_stream() {
    let one = table(&[("ROOTCA", "1")]);
    let version = || {
        let mut stream = Sotw::default();
        stream.on_request(request(&["ROOTCA"], ""));
        stream.respond(&one).unwrap().version_info
    };
    assert_eq!(version(), version());
}

#[test]
fn a_refusal_is_reported_and_does_not_loop() {
    let mut stream = Sotw::default();
    let one = table(&[("ROOTCA", "1")]);
    stream.on_request(request(&["ROOTCA"], ""));
    stream.respond(&one).unwrap();
    let mut nack = request(&["ROOTCA"], "1");
    nack.error_detail = Some(Status { message: "bad PEM".to_owned(), ..Default::default() });
    let refusal = stream.on_request(nack).unwrap();
    assert_eq!((refusal.secrets, refusal.message.as_str()), (vec!["ROOTCA".to_owned()], "bad PEM"));
    assert_eq!(stream.respond(&one), None);
    assert!(stream.respond(&table(&[("ROOTCA", "2")])).is_some(), "new content is tried");
}

#[test]
fn a_stale_nonce_changes_nothing() {
    let mut stream = Sotw::default();
    stream.on_request(request(&["ROOTCA"], ""));
    stream.respond(&table(&[("ROOTCA", "1")])).unwrap();
    stream.respond(&table(&[("ROOTCA", "2")])).unwrap();
    stream.on_request(request(&["default"], "1"));
    assert!(stream.names().contains("ROOTCA"));
    assert!(!stream.names().contains("default"));
}

#[test]
fn a_nonce_of_an_earlier_stream_is_a_first_request() {
    let mut stream = Sotw::default();
    stream.on_request(request(&["ROOTCA"], "77"));
    assert!(stream.respond(&table(&[("ROOTCA", "1")])).is_some());
}

#[test]
fn a_missing_secret_is_sent_when_it_comes() {
    let mut stream = Sotw::default();
    stream.on_request(request(&["ROOTCA", "late"], ""));
    assert_eq!(stream.respond(&table(&[])), None);
    assert_eq!(stream.respond(&table(&[("ROOTCA", "1")])).unwrap().resources.len(), 1);
    assert_eq!(stream.respond(&table(&[("ROOTCA", "1"), ("late", "2")])).unwrap().resources.len(), 2);
}

#[test]
fn added_names_are_answered_removed_ones_forgotten() {
    let mut stream = Sotw::default();
    let both = table(&[("ROOTCA", "1"), ("default", "2")]);
    stream.on_request(request(&["ROOTCA"], ""));
    stream.respond(&both).unwrap();
    stream.on_request(request(&["ROOTCA", "default"], "1"));
    assert_eq!(stream.respond(&both).unwrap().resources.len(), 2);
    stream.on_request(request(&["default"], "2"));
    assert_eq!(stream.respond(&both), None);
    stream.on_request(request(&["ROOTCA", "default"], "2"));
    assert!(stream.respond(&both).is_some(), "asked for again, sent again");
}
