//! What the oracle takes for the same, and what not.

use bytes::Bytes;
use http::HeaderMap;
use testkit::simulator::{HeaderEdit, Reply};

use super::Came;
use super::compare::disagreement;
use super::walk::End;
use crate::client::Answer;

fn answer(status: u16, body: &str, headers: &[(&'static str, &str)]) -> Came {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let body = Bytes::from(body.to_owned());
    let answer = Box::new(Answer { status, headers: map, body, trailers: None });
    Came::Answer { answer, sent: Vec::new() }
}

fn reply(status: u16, headers: &[(&str, &str)]) -> End {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    End::Reply(Reply { status, headers, body: String::new() }, Vec::new())
}

#[test]
fn answers_of_proxies_are_compared_by_status_and_headers() {
    let moved = reply(301, &[("location", "https://a/")]);
    assert_eq!(disagreement(&moved, &answer(301, "", &[("location", "https://a/")])), None);
    assert!(disagreement(&moved, &answer(301, "", &[("location", "https://b/")])).is_some());
    assert!(disagreement(&moved, &answer(302, "", &[("location", "https://a/")])).is_some());
    assert!(disagreement(&moved, &Came::Nothing("reset".to_owned())).is_some());
}

#[test]
fn changed_headers_of_answers_are_expected() {
    let edits = vec![
        HeaderEdit::Set("x-a".to_owned(), "1".to_owned()),
        HeaderEdit::Remove("x-b".to_owned()),
        HeaderEdit::Append("x-c".to_owned(), "%START_TIME%".to_owned()),
    ];
    let end = End::Reply(Reply { status: 200, ..Reply::default() }, edits);
    assert_eq!(disagreement(&end, &answer(200, "", &[("x-a", "1"), ("x-c", "noon")])), None);
    assert!(disagreement(&end, &answer(200, "", &[("x-a", "2"), ("x-c", "noon")])).is_some());
    assert!(disagreement(&end, &answer(200, "", &[("x-a", "1"), ("x-b", "1"), ("x-c", "noon")])).is_some());
}

#[test]
fn a_connection_that_fails_behind_a_proxy_is_its_503() {
    let closed = |answered: bool| End::Closed { answered, why: String::new() };
    let reset = answer(503, "upstream connect error or disconnect/reset before headers", &[]);
    assert_eq!(disagreement(&closed(true), &reset), None);
    assert!(disagreement(&closed(false), &reset).is_some());
    assert!(disagreement(&closed(true), &answer(503, "no healthy upstream", &[])).is_some());
    assert_eq!(disagreement(&closed(false), &Came::Nothing("closed".to_owned())), None);
    assert!(disagreement(&closed(false), &Came::Line("reviews".to_owned())).is_some());
}
