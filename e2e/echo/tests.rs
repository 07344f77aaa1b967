//! What the app reports and how it can be steered, over loopback.

use std::collections::BTreeMap;

use super::Seen;
use super::http::Wish;

fn seen(xfcc: &str) -> Seen {
    Seen {
        pod: "web".to_owned(),
        namespace: "shop".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "web".to_owned(),
        headers: BTreeMap::from([("x-forwarded-client-cert".to_owned(), vec![xfcc.to_owned()])]),
        peer: ([127, 0, 0, 6], 1).into(),
        local: ([127, 0, 0, 1], 80).into(),
        tls: None,
        body: String::new(),
    }
}

#[test]
fn identities_are_read_from_all_elements_of_the_client_certificate_header() {
    let seen = seen(
        "By=spiffe://td/ns/shop/sa/web;Hash=ab;Subject=\"\";URI=spiffe://td/ns/shop/sa/cart,By=spiffe://td/b;URI=spiffe://td/c",
    );
    assert_eq!(seen.client_certificate("uri"), ["spiffe://td/ns/shop/sa/cart", "spiffe://td/c"]);
    assert_eq!(seen.client_certificate("By"), ["spiffe://td/ns/shop/sa/web", "spiffe://td/b"]);
    assert_eq!(seen.client_certificate("DNS"), Vec::<String>::new());
}

#[test]
fn the_query_steers_the_answer() {
    let wish = Wish::parse("status=503&delay=7&size=3&header=x-a:b&header=x-a:c&other=1&grpc-status=14");
    assert_eq!(wish.status, Some(503));
    assert_eq!(wish.delay.as_millis(), 7);
    assert_eq!(wish.size, Some(3));
    assert_eq!(wish.grpc_status, 14);
    assert_eq!(wish.headers.get_all("x-a").iter().count(), 2);
}

#[test]
fn a_query_that_means_nothing_changes_nothing() {
    let wish = Wish::parse("status=often&header=:&delay");
    assert_eq!(wish.status, None);
    assert!(wish.headers.is_empty());
    assert!(wish.delay.is_zero());
}
