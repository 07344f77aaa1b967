//! The incremental stream without a wire.

use envoy::google::rpc::Status;
use envoy::service::discovery::v3::DeltaDiscoveryRequest;

use super::Delta;
use crate::sds::store::{Entry, Table};

fn table(entries: &[(&str, &str)]) -> Table {
    entries
        .iter()
        .map(|(name, content)| ((*name).to_owned(), Entry::trusted_ca(name, content.as_bytes().to_vec())))
        .collect()
}

fn subscribe(names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        resource_names_subscribe: names.iter().map(|&n| n.to_owned()).collect(),
        ..Default::default()
    }
}

fn answer(nonce: &str, error: Option<&str>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        response_nonce: nonce.to_owned(),
        error_detail: error.map(|message| Status { message: message.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

fn names(response: &envoy::service::discovery::v3::DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|r| r.name.as_str()).collect()
}

#[test]
fn sends_what_changed_and_nothing_else() {
    let mut stream = Delta::default();
    stream.on_request(subscribe(&["ROOTCA", "default", "absent"]));
    let first = stream.respond(&table(&[("ROOTCA", "1"), ("default", "a"), ("other", "z")])).unwrap();
    assert_eq!(names(&first), ["ROOTCA", "default"]);
    assert_eq!(stream.on_request(answer("1", None)), None);
    assert_eq!(stream.respond(&table(&[("ROOTCA", "1"), ("default", "a")])), None);
    let second = stream.respond(&table(&[("ROOTCA", "1"), ("default", "b")])).unwrap();
    assert_eq!(names(&second), ["default"]);
}

#[test]
fn a_reconnect_with_what_is_current_costs_nothing() {
    let one = table(&[("ROOTCA", "1"), ("default", "a")]);
    let mut stream = Delta::default();
    let mut request = subscribe(&["ROOTCA", "default"]);
    let version = one.get("ROOTCA").unwrap().version.clone();
    request.initial_resource_versions.insert("ROOTCA".to_owned(), version);
    request.initial_resource_versions.insert("default".to_owned(), "old".to_owned());
    stream.on_request(request);
    assert_eq!(names(&stream.respond(&one).unwrap()), ["default"]);
}

#[test]
fn a_refusal_names_its_secrets_and_does_not_loop() {
    let one = table(&[("ROOTCA", "1")]);
    let mut stream = Delta::default();
    stream.on_request(subscribe(&["ROOTCA"]));
    let nonce = stream.respond(&one).unwrap().nonce;
    let refusal = stream.on_request(answer(&nonce, Some("bad PEM"))).unwrap();
    assert_eq!((refusal.secrets, refusal.message.as_str()), (vec!["ROOTCA".to_owned()], "bad PEM"));
    assert_eq!(stream.respond(&one), None);
    assert!(stream.respond(&table(&[("ROOTCA", "2")])).is_some(), "new content is tried");
}

#[test]
fn subscribing_again_sends_again_and_unsubscribing_stops() {
    let one = table(&[("ROOTCA", "1")]);
    let mut stream = Delta::default();
    stream.on_request(subscribe(&["ROOTCA"]));
    stream.respond(&one).unwrap();
    stream.on_request(subscribe(&["ROOTCA"]));
    assert!(stream.respond(&one).is_some());
    let unsubscribe =
        DeltaDiscoveryRequest { resource_names_unsubscribe: vec!["ROOTCA".to_owned()], ..Default::default() };
    stream.on_request(unsubscribe);
    assert_eq!(stream.respond(&table(&[("ROOTCA", "2")])), None);
    assert!(stream.names().is_empty());
}
