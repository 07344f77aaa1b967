//! Secrets: asked for by name, answered as far as they are there, kept by whoever holds them when they go.

use std::collections::BTreeMap;

use api::envoy::google::rpc::Status;
use api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use testkit::ads::{Connection, Kind, Request, Response, Variant};

use crate::end_to_end::Fixture;
use crate::toy::{World, node};

const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// A client of secrets alone.
struct Client {
    connection: Connection,
    variant: Variant,
    nonce: String,
}

impl Client {
    async fn open(fixture: &Fixture, variant: Variant) -> Self {
        let connection = Connection::open(fixture.address, variant).await.expect("a stream");
        Self { connection, variant, nonce: String::new() }
    }

    /// Asks for these names, all that it wants, and acknowledges what came last.
    fn ask(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let node = self.nonce.is_empty().then(node);
        let (type_url, nonce) = (TYPE_URL.to_owned(), self.nonce.clone());
        self.connection.send(&match self.variant {
            Variant::Sotw => Request::Sotw(DiscoveryRequest {
                node,
                type_url,
                resource_names: names,
                response_nonce: nonce,
                error_detail: None::<Status>,
                ..DiscoveryRequest::default()
            }),
            Variant::Delta => Request::Delta(DeltaDiscoveryRequest {
                node,
                type_url,
                resource_names_subscribe: names,
                response_nonce: nonce,
                ..DeltaDiscoveryRequest::default()
            }),
        });
    }

    /// Asks for listeners, to see what comes before their answer.
    fn ask_for_listeners(&self) {
        let type_url = Kind::Listener.type_url().to_owned();
        self.connection.send(&match self.variant {
            Variant::Sotw => Request::Sotw(DiscoveryRequest { type_url, ..DiscoveryRequest::default() }),
            Variant::Delta => {
                Request::Delta(DeltaDiscoveryRequest { type_url, ..DeltaDiscoveryRequest::default() })
            }
        });
    }

    /// The type of the next answer, how many resources are in it, and the names that it says are gone.
    async fn next(&mut self) -> (String, usize, Vec<String>) {
        match self.connection.receive().await.expect("a stream").expect("an answer") {
            Response::Sotw(answer) => {
                self.nonce = answer.nonce;
                (answer.type_url, answer.resources.len(), Vec::new())
            }
            Response::Delta(answer) => {
                self.nonce = answer.nonce;
                (answer.type_url, answer.resources.len(), answer.removed_resources)
            }
        }
    }
}

fn world(secrets: &[(u8, u8)]) -> World {
    let listeners = BTreeMap::from([(1, (1, [].into()))]);
    World { listeners, secrets: secrets.iter().copied().collect(), ..World::default() }
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_not_answered_and_comes_when_it_is() {
    for variant in [Variant::Sotw, Variant::Delta] {
        let fixture = Fixture::with(&world(&[])).await;
        let mut client = Client::open(&fixture, variant).await;
        client.ask(&["secret-1"]);
        client.ask_for_listeners();
        assert_eq!(client.next().await, (Kind::Listener.type_url().to_owned(), 1, Vec::new()));
        fixture.update(&world(&[(1, 1)]));
        assert_eq!(client.next().await, (TYPE_URL.to_owned(), 1, Vec::new()));
    }
}

#[tokio::test]
async fn one_that_may_not_be_had_does_not_keep_the_others_back() {
    for variant in [Variant::Sotw, Variant::Delta] {
        let fixture = Fixture::with(&world(&[(1, 1), (3, 1)])).await;
        let mut client = Client::open(&fixture, variant).await;
        client.ask(&["secret-1", "secret-2", "secret-3"]);
        assert_eq!(client.next().await, (TYPE_URL.to_owned(), 2, Vec::new()));
    }
}

#[tokio::test]
async fn a_secret_that_goes_is_not_spoken_of_and_one_that_is_renewed_is_sent() {
    for variant in [Variant::Sotw, Variant::Delta] {
        let fixture = Fixture::with(&world(&[(1, 1), (2, 1)])).await;
        let mut client = Client::open(&fixture, variant).await;
        let names = ["secret-1", "secret-2"];
        client.ask(&names);
        assert_eq!(client.next().await, (TYPE_URL.to_owned(), 2, Vec::new()));
        client.ask(if variant == Variant::Sotw { &names } else { &[] });
        fixture.update(&world(&[(2, 1)]));
        client.ask_for_listeners();
        assert_eq!(client.next().await, (Kind::Listener.type_url().to_owned(), 1, Vec::new()));
        fixture.update(&world(&[(2, 2)]));
        assert_eq!(client.next().await, (TYPE_URL.to_owned(), 1, Vec::new()));
    }
}
