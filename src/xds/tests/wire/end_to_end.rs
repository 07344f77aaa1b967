//! A server on a socket, with the engine behind it, and the model of Envoy in front.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus::Registry;
use testkit::ads::{Connection, Envoy, Kind, Response, Variant};
use tokio::net::TcpListener;
use xds::kind::ResourceType;
use xds::metrics::Metrics;
use xds::server::{Config, EngineHandle, Hooks, Server};

use crate::toy::{Toy, World, node};

/// A server and what it is made of.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) engine: EngineHandle<Toy>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
}

impl Fixture {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, Hooks::default()).await
    }

    pub(crate) async fn start_with(config: Config, hooks: Hooks) -> Self {
        let metrics = Metrics::register(&Registry::new()).expect("a fresh registry");
        let (server, engine) =
            Server::start(Arc::new(Toy), config, metrics.clone(), hooks).expect("a thread");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().route("/hello", axum::routing::get(|| async { "hello" }));
        let listening = server.clone();
        server.spawn(async move { listening.listen(listener, None, router).await });
        Self { server, engine, address, metrics }
    }

    /// A server with a mesh.
    pub(crate) async fn with(world: &World) -> Self {
        let fixture = Self::start(Config::default()).await;
        fixture.update(world);
        fixture
    }

    pub(crate) fn update(&self, world: &World) {
        self.engine.update(Arc::new(world.clone()), (), Duration::ZERO);
    }
}

/// Three clusters behind two routes of two listeners.
pub(crate) fn world() -> World {
    World {
        clusters: [(1, 0), (2, 1), (3, 3)].into(),
        endpoints: [(1, 5)].into(),
        routes: [(1, (0, [1, 2].into())), (2, (0, [3].into()))].into(),
        listeners: [(1, (0, [1].into())), (2, (0, [1, 2].into()))].into(),
        names: 0,
        secrets: [].into(),
    }
}

fn settled(envoy: &Envoy, world: &World) -> bool {
    assert_eq!(envoy.broken(), BTreeSet::new(), "an outage");
    envoy.warming().is_empty() && envoy.active() == world.served()
}

/// Every kind of change, one after the other.
async fn follows(variant: Variant) {
    let mut world = world();
    let fixture = Fixture::with(&world).await;
    let mut envoy = Envoy::new(variant, node());
    let mut connection = Connection::open(fixture.address, variant).await.expect("a stream");
    envoy.connect();
    connection.drive(&mut envoy, |envoy| settled(envoy, &world)).await.expect("the first mesh");

    let changes: [fn(&mut World); 7] = [
        |world| {
            world.endpoints.insert(1, 6);
        },
        |world| {
            world.clusters.insert(1, 2);
        },
        |world| {
            world.clusters.insert(4, 0);
            world.routes.insert(1, (0, [2, 4].into()));
        },
        |world| {
            world.routes.insert(1, (1, [4].into()));
        },
        |world| {
            world.routes.insert(3, (0, [4].into()));
            world.listeners.insert(2, (1, [3].into()));
        },
        |world| {
            world.listeners.remove(&1);
        },
        |world| {
            world.clusters.remove(&1);
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        change(&mut world);
        fixture.update(&world);
        let driven = connection.drive(&mut envoy, |envoy| settled(envoy, &world));
        let driven = tokio::time::timeout(Duration::from_secs(30), driven).await;
        driven.unwrap_or_else(|_| panic!("change {at} does not arrive")).expect("a stream");
    }
    assert_eq!(fixture.metrics.wait_expired.with_label_values(&["cds", "removal"]).get(), 0);
}

#[tokio::test]
async fn a_delta_client_follows_every_change_without_an_outage() {
    follows(Variant::Delta).await;
}

#[tokio::test]
async fn a_client_of_the_state_of_the_world_follows_every_change_without_an_outage() {
    follows(Variant::Sotw).await;
}

#[tokio::test]
async fn a_client_that_comes_back_is_sent_what_changed_and_nothing_else() {
    let mut world = world();
    let fixture = Fixture::with(&world).await;
    let mut envoy = Envoy::new(Variant::Delta, node());
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    envoy.connect();
    connection.drive(&mut envoy, |envoy| settled(envoy, &world)).await.expect("the first mesh");
    drop(connection);
    envoy.disconnect();

    world.routes.insert(1, (7, [1].into()));
    world.listeners.remove(&2);
    fixture.update(&world);
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    envoy.connect();
    let mut sent = Vec::new();
    while !settled(&envoy, &world) {
        while let Some(request) = envoy.next_request() {
            connection.send(&request);
        }
        let response = connection.receive().await.expect("a stream").expect("a response");
        let Response::Delta(delta) = &response else { panic!("not a delta response") };
        sent.extend(delta.resources.iter().map(|resource| resource.name.clone()));
        sent.extend(delta.removed_resources.iter().map(|name| format!("-{name}")));
        envoy.respond(response);
    }
    sent.sort();
    assert_eq!(sent, ["-listener-2", "route-1"]);
}

#[tokio::test]
async fn debug_shows_what_was_sent_and_refused() {
    let mut world = world();
    let fixture = Fixture::with(&world).await;
    let mut envoy = Envoy::new(Variant::Delta, node());
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    envoy.connect();
    connection.drive(&mut envoy, |envoy| settled(envoy, &world)).await.expect("the first mesh");

    envoy.refuse(Kind::Cluster, "outbound|80||c3", true);
    world.clusters.insert(3, 7);
    world.clusters.insert(9, 7);
    fixture.update(&world);
    let has = |envoy: &Envoy| envoy.active()[&Kind::Cluster].contains_key("outbound|80||c9");
    connection.drive(&mut envoy, has).await.expect("a stream");
    // An answer to a later request shows that the refusal was read.
    world.endpoints.insert(1, 9);
    fixture.update(&world);
    let body = world.resources(ResourceType::Endpoints)["outbound|80||c1"].clone();
    let has = |envoy: &Envoy| envoy.active()[&Kind::Endpoints]["outbound|80||c1"] == body;
    connection.drive(&mut envoy, has).await.expect("a stream");

    let clients = fixture.server.clients().list();
    let [client] = &clients[..] else { panic!("{} clients", clients.len()) };
    assert_eq!(client.connection_id(), "app.default-1");
    let status = client.status();
    let clusters = &status.stream.watches[0];
    assert_eq!(clusters.kind, ResourceType::Cluster);
    assert_eq!(clusters.rejected, ["outbound|80||c3"]);
    let reason = clusters.last_error.as_deref().expect("a reason");
    assert_eq!(reason, "Error adding/updating cluster(s) outbound|80||c3: refused by the test");
    let json = serde_json::to_value(&status).expect("JSON");
    assert_eq!(json["stream"]["watches"][0]["kind"], ResourceType::Cluster.type_url());
    assert_eq!(fixture.metrics.rejects.with_label_values(&["cds"]).get(), 1);

    drop(connection);
    while !fixture.server.clients().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.metrics.clients.with_label_values(&["unknown"]).get(), 0);
    while fixture.engine.inspect(|engine| engine.proxies().count()).await != Some(0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_skips_to_the_newest() {
    let mut world = world();
    let fixture = Fixture::with(&world).await;
    let mut envoy = Envoy::new(Variant::Delta, node());
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    envoy.connect();
    connection.drive(&mut envoy, |envoy| settled(envoy, &world)).await.expect("the first mesh");

    // More than all buffers between the two take.
    let updates = 400_u32;
    for round in 0..updates {
        for id in 20..=255 {
            world.clusters.insert(id, if round % 2 == 0 { 3 } else { 7 });
        }
        world.clusters.insert(19, (round % 60) as u8 * 4 + 3);
        fixture.update(&world);
        // The engine has taken the update when it answers.
        fixture.engine.inspect(|engine| engine.generation()).await;
        tokio::task::yield_now().await;
    }
    let mut responses = 0;
    while !settled(&envoy, &world) {
        while let Some(request) = envoy.next_request() {
            connection.send(&request);
        }
        envoy.respond(connection.receive().await.expect("a stream").expect("a response"));
        responses += 1;
    }
    assert!(responses < updates, "{responses} responses to {updates} updates");
}
