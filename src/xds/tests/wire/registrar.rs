//! Clients that are registered elsewhere: before they are served, while they tell of their health, and when they go.

use std::sync::Arc;

use api::envoy::google::rpc;
use api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use testkit::ads::{Connection, Kind, Request, Variant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use xds::generate::{Code, NodeInfo, Peer, Refusal};
use xds::server::{Config, Health, Hooks, Registered, Registering, Registrar};

use crate::end_to_end::{Fixture, world};
use crate::toy::node;

/// What the registrar saw.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Came(String),
    Told(Health),
    Went,
}

/// Registers nodes of clusters, and refuses those of one.
struct Book(UnboundedSender<Seen>);

impl Registrar for Book {
    fn register(&self, node: &NodeInfo, _: &Peer) -> Option<Registering> {
        let (cluster, seen) = (node.cluster.clone(), self.0.clone());
        (!cluster.is_empty()).then(|| -> Registering {
            Box::pin(async move {
                tokio::task::yield_now().await;
                if cluster == "strange" {
                    let message = "no such group".to_owned();
                    return Err(Refusal { code: Code::FailedPrecondition, message });
                }
                let _ = seen.send(Seen::Came(cluster));
                Ok(Box::new(Entry(seen)) as Box<dyn Registered>)
            })
        })
    }
}

struct Entry(UnboundedSender<Seen>);

impl Registered for Entry {
    fn health(&self, health: Health) {
        let _ = self.0.send(Seen::Told(health));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _ = self.0.send(Seen::Went);
    }
}

async fn fixture() -> (Fixture, UnboundedReceiver<Seen>) {
    let (sender, seen) = unbounded_channel();
    let hooks = Hooks { registrar: Some(Arc::new(Book(sender))), ..Hooks::default() };
    let fixture = Fixture::start_with(Config::default(), hooks).await;
    fixture.update(&world());
    (fixture, seen)
}

fn request(variant: Variant, type_url: &str, cluster: &str, error: Option<&str>) -> Request {
    let node = Some(NodeInfo { cluster: cluster.to_owned(), ..node() });
    let type_url = type_url.to_owned();
    let error_detail =
        error.map(|text| rpc::Status { code: 13, message: text.to_owned(), ..Default::default() });
    match variant {
        Variant::Delta => {
            Request::Delta(DeltaDiscoveryRequest { node, type_url, error_detail, ..Default::default() })
        }
        Variant::Sotw => {
            Request::Sotw(DiscoveryRequest { node, type_url, error_detail, ..Default::default() })
        }
    }
}

const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";

async fn comes_tells_and_goes(variant: Variant) {
    let (fixture, mut seen) = fixture().await;
    let mut connection = Connection::open(fixture.address, variant).await.expect("a stream");
    // Too early: nobody knows of whom.
    connection.send(&request(variant, HEALTH, "vm", Some("early")));
    connection.send(&request(variant, Kind::Listener.type_url(), "vm", None));
    assert!(connection.receive().await.expect("a stream").is_some());
    assert_eq!(seen.recv().await, Some(Seen::Came("vm".to_owned())));
    connection.send(&request(variant, HEALTH, "vm", None));
    connection.send(&request(variant, HEALTH, "vm", Some("refused")));
    assert_eq!(seen.recv().await, Some(Seen::Told(Health::Healthy)));
    assert_eq!(seen.recv().await, Some(Seen::Told(Health::Unhealthy("refused".to_owned()))));
    drop(connection);
    assert_eq!(seen.recv().await, Some(Seen::Went));
}

#[tokio::test]
async fn a_delta_client_comes_tells_and_goes() {
    comes_tells_and_goes(Variant::Delta).await;
}

#[tokio::test]
async fn a_client_of_the_state_of_the_world_comes_tells_and_goes() {
    comes_tells_and_goes(Variant::Sotw).await;
}

#[tokio::test]
async fn a_client_that_cannot_be_registered_is_not_served() {
    let (fixture, mut seen) = fixture().await;
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send(&request(Variant::Delta, Kind::Listener.type_url(), "strange", None));
    assert_eq!(connection.receive().await.expect("a stream"), None);
    assert_eq!(connection.status(), Some((9, "no such group")));
    // One that need not be registered is served, and what it says of its health nobody wants to know.
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send(&request(Variant::Delta, Kind::Listener.type_url(), "", None));
    connection.send(&request(Variant::Delta, HEALTH, "", None));
    assert!(connection.receive().await.expect("a stream").is_some());
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_client_that_the_engine_refuses_is_registered_no_longer() {
    let (fixture, mut seen) = fixture().await;
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    let request = DeltaDiscoveryRequest {
        node: Some(NodeInfo { id: "me".to_owned(), cluster: "vm".to_owned(), ..NodeInfo::default() }),
        type_url: Kind::Listener.type_url().to_owned(),
        ..Default::default()
    };
    connection.send(&Request::Delta(request));
    assert_eq!(connection.receive().await.expect("a stream"), None);
    assert_eq!(connection.status().map(|(code, _)| code), Some(3));
    assert_eq!(seen.recv().await, Some(Seen::Came("vm".to_owned())));
    assert_eq!(seen.recv().await, Some(Seen::Went));
}
