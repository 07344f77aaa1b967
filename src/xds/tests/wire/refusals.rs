//! Streams that end, and requests for what is not served.

use std::sync::Arc;
use std::time::Duration;

use api::envoy::Message as _;
use api::envoy::google::protobuf::Any;
use api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use bytes::Bytes;
use testkit::ads::{Connection, Envoy, Kind, Request, Response, Variant};
use xds::generate::Peer;
use xds::server::{Answering, Config, DebugAnswer, DebugTypes, Hooks, Status};

use crate::end_to_end::{Fixture, world};
use crate::toy::node;

fn delta(type_url: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { node: Some(node()), type_url: type_url.to_owned(), ..Default::default() }
}

/// The code with which the stream ends that begins with this request, and the words.
async fn end(fixture: &Fixture, request: DeltaDiscoveryRequest) -> (i32, String) {
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send(&Request::Delta(request));
    assert_eq!(connection.receive().await.expect("a stream"), None);
    let (code, message) = connection.status().expect("a status");
    (code, message.to_owned())
}

#[tokio::test]
async fn before_the_first_mesh_clients_are_told_to_come_back() {
    let fixture = Fixture::start(Config::default()).await;
    let (code, message) = end(&fixture, delta(Kind::Cluster.type_url())).await;
    assert_eq!((code, &message[..9]), (14, "not ready"));
    fixture.update(&world());
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send(&Request::Delta(delta(Kind::Cluster.type_url())));
    assert!(connection.receive().await.expect("a stream").is_some());
}

#[tokio::test]
async fn a_first_request_must_say_who_asks() {
    let fixture = Fixture::with(&world()).await;
    let mut request = delta(Kind::Cluster.type_url());
    request.node = None;
    assert_eq!(end(&fixture, request).await, (3, "missing node information".to_owned()));
    let mut request = delta(Kind::Cluster.type_url());
    request.node = Some(api::envoy::config::core::v3::Node { id: "me".to_owned(), ..Default::default() });
    assert_eq!(end(&fixture, request).await.0, 3);
}

#[tokio::test]
async fn what_is_not_built_is_said_so() {
    let fixture = Fixture::with(&world()).await;
    for type_url in
        ["type.googleapis.com/istio.workload.Address", "type.googleapis.com/istio.security.Authorization"]
    {
        let (code, message) = end(&fixture, delta(type_url)).await;
        assert_eq!((code, &message[..9]), (12, "not built"), "{type_url}");
    }
}

#[tokio::test]
async fn a_type_that_nobody_knows_is_answered_with_nothing() {
    let fixture = Fixture::with(&world()).await;
    let type_url = "type.googleapis.com/envoy.service.runtime.v3.Runtime".to_owned();
    let mut connection = Connection::open(fixture.address, Variant::Sotw).await.expect("a stream");
    let request = DiscoveryRequest { node: Some(node()), type_url: type_url.clone(), ..Default::default() };
    connection.send(&Request::Sotw(request));
    let Some(Response::Sotw(answer)) = connection.receive().await.expect("a stream") else {
        panic!("an answer")
    };
    assert_eq!((answer.type_url, answer.resources.len()), (type_url, 0));
}

/// Says who asked, and refuses one name.
struct Echo;

impl DebugTypes for Echo {
    fn answer(&self, type_url: &str, names: &[String], peer: &Peer) -> Answering {
        if names.contains(&"secret".to_owned()) {
            return Box::pin(std::future::ready(Err(Status { code: 7, message: "not yours".to_owned() })));
        }
        assert!(peer.address.is_some());
        let value = Bytes::from(format!("{names:?}"));
        let any = Any { type_url: type_url.to_owned(), value };
        let answer = DebugAnswer {
            resources: vec![("page".to_owned(), any.encode_to_vec().into())],
            version: "v1".to_owned(),
            control_plane: "plane-1".to_owned(),
        };
        Box::pin(async {
            // As one that others have to be asked for.
            tokio::task::yield_now().await;
            Ok(answer)
        })
    }
}

#[tokio::test]
async fn debug_pages_are_answered_on_every_request() {
    let fixture =
        Fixture::start_with(Config::default(), Hooks { debug: Some(Arc::new(Echo)), ..Hooks::default() })
            .await;
    fixture.update(&world());
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    for name in ["a", "a", "b"] {
        let mut request = delta("istio.io/debug");
        request.resource_names_subscribe = vec![name.to_owned()];
        connection.send(&Request::Delta(request));
        let Some(Response::Delta(answer)) = connection.receive().await.expect("a stream") else {
            panic!("an answer")
        };
        let page = answer.resources[0].resource.as_ref().expect("a page");
        assert_eq!((&*page.type_url, &*page.value), ("istio.io/debug", format!("[{name:?}]").as_bytes()));
        assert_eq!(answer.control_plane.expect("a name").identifier, "plane-1");
    }
    let client = &fixture.server.clients().list()[0];
    assert_eq!(client.status().stream.watches, [], "a page is not subscribed to");
    let mut request = delta("istio.io/debug");
    request.resource_names_subscribe = vec!["secret".to_owned()];
    connection.send(&Request::Delta(request));
    assert_eq!(connection.receive().await.expect("a stream"), None);
    assert_eq!(connection.status(), Some((7, "not yours")));
}

#[tokio::test]
async fn health_may_be_told_before_anything_else() {
    let fixture = Fixture::with(&world()).await;
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    let mut health = delta("type.googleapis.com/istio.v1.HealthInformation");
    health.node = None;
    connection.send(&Request::Delta(health));
    connection.send(&Request::Delta(delta(Kind::Listener.type_url())));
    assert!(connection.receive().await.expect("a stream").is_some());
}

#[tokio::test]
async fn a_request_that_is_too_long_ends_the_stream() {
    let fixture = Fixture::start(Config { max_request: 100, ..Config::default() }).await;
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send_raw(Bytes::from_static(&[0, 0, 0, 0, 101]));
    assert_eq!(connection.receive().await.expect("a stream"), None);
    let message = "received message larger than max (101 vs. 100)";
    assert_eq!(connection.status(), Some((8, message)));
}

#[tokio::test]
async fn streams_beyond_the_rate_are_told_to_come_back() {
    let fixture = Fixture::start(Config { streams_per_second: Some(0.5), ..Config::default() }).await;
    fixture.update(&world());
    let mut first = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    first.send(&Request::Delta(delta(Kind::Cluster.type_url())));
    assert!(first.receive().await.expect("a stream").is_some());
    let mut second = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    assert_eq!(second.receive().await.expect("a stream"), None);
    assert_eq!(second.status().map(|(code, _)| code), Some(8));
}

#[tokio::test]
async fn a_shutdown_ends_streams_in_order() {
    let fixture = Fixture::with(&world()).await;
    let mut envoy = Envoy::new(Variant::Delta, node());
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    envoy.connect();
    connection.drive(&mut envoy, |envoy| envoy.active() == world().served()).await.expect("the mesh");
    let server = fixture.server.clone();
    let shutdown = tokio::spawn(async move { server.shutdown(Duration::from_secs(30)).await });
    while connection.receive().await.expect("a stream").is_some() {}
    assert_eq!(connection.status().map(|(code, _)| code), Some(14));
    shutdown.await.expect("all is over");
    assert!(Connection::open(fixture.address, Variant::Delta).await.is_err(), "nobody listens");
}
