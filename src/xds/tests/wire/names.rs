//! The table of names and the roots that are trusted as an agent asks for them: one resource without a name of each,
//! beside what Envoy asks for.

use api::envoy::Message;
use api::envoy::istio::mesh::v1alpha1::ProxyConfig;
use api::envoy::istio::networking::nds::v1::NameTable;
use api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use testkit::ads::{Connection, Request, Response, Variant};
use xds::kind::ResourceType;

use crate::end_to_end::{Fixture, world};
use crate::toy::node;

/// A request for the resource of this type; with a nonce one that accepts it, with a version one of an agent that has it.
fn request_of(kind: ResourceType, variant: Variant, nonce: &str, held: Option<&str>) -> Request {
    let type_url = kind.type_url().to_owned();
    let (node, nonce) = (Some(node()), nonce.to_owned());
    let held = held.map(|version| (String::new(), version.to_owned()));
    match variant {
        Variant::Delta => Request::Delta(DeltaDiscoveryRequest {
            node,
            type_url,
            response_nonce: nonce,
            initial_resource_versions: held.into_iter().collect(),
            ..Default::default()
        }),
        Variant::Sotw => {
            Request::Sotw(DiscoveryRequest { node, type_url, response_nonce: nonce, ..Default::default() })
        }
    }
}

fn request(variant: Variant, nonce: &str, held: Option<&str>) -> Request {
    request_of(ResourceType::NameTable, variant, nonce, held)
}

/// The next table, with its nonce and its version.
async fn table(connection: &mut Connection) -> (NameTable, String, String) {
    resource(ResourceType::NameTable, connection).await
}

/// The next resource of this type, with its nonce and its version.
async fn resource<M: Message + Default>(
    kind: ResourceType,
    connection: &mut Connection,
) -> (M, String, String) {
    let (type_url, nonce, mut found) = match connection.receive().await.expect("a stream").expect("an answer")
    {
        Response::Delta(answer) => {
            let bodies = answer.resources.into_iter().map(|r| {
                assert_eq!(r.name, "");
                (r.resource.expect("a body"), r.version)
            });
            (answer.type_url, answer.nonce, bodies.collect::<Vec<_>>())
        }
        Response::Sotw(answer) => {
            let version = answer.version_info;
            let bodies = answer.resources.into_iter().map(|body| (body, version.clone()));
            (answer.type_url, answer.nonce, bodies.collect())
        }
    };
    assert_eq!((&*type_url, found.len()), (kind.type_url(), 1));
    let (any, version) = found.remove(0);
    assert_eq!(any.type_url, type_url);
    (M::decode(any.value).expect("a resource"), nonce, version)
}

fn address(table: &NameTable) -> &str {
    &table.table["web.shop.svc.cluster.local"].ips[0]
}

async fn follows(variant: Variant) {
    let mut world = world();
    let fixture = Fixture::with(&world).await;
    let mut connection = Connection::open(fixture.address, variant).await.expect("a stream");
    connection.send(&request(variant, "", None));
    let (first, nonce, _) = table(&mut connection).await;
    assert_eq!(address(&first), "10.96.0.0");
    connection.send(&request(variant, &nonce, None));
    // Of a change of anything else nothing is heard: what comes next is the next table.
    world.endpoints.insert(1, 77);
    fixture.update(&world);
    world.names = 1;
    fixture.update(&world);
    let (next, nonce, _) = table(&mut connection).await;
    assert_eq!(address(&next), "10.96.0.1");
    connection.send(&request(variant, &nonce, None));
    let client = &fixture.server.clients().list()[0];
    let acked = || client.status().stream.watches[0].acked.as_ref().map(|sent| sent.nonce.clone());
    while acked().as_ref() != Some(&nonce) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_delta_agent_follows_the_table_of_names() {
    follows(Variant::Delta).await;
}

#[tokio::test]
async fn an_agent_of_the_state_of_the_world_follows_the_table_of_names() {
    follows(Variant::Sotw).await;
}

#[tokio::test]
async fn an_agent_that_has_the_table_is_sent_the_next_one_only() {
    let mut world = world();
    let fixture = Fixture::with(&world).await;
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send(&request(Variant::Delta, "", None));
    let (_, _, version) = table(&mut connection).await;
    let mut connection = Connection::open(fixture.address, Variant::Delta).await.expect("a stream");
    connection.send(&request(Variant::Delta, "", Some(&version)));
    let Some(Response::Delta(answer)) = connection.receive().await.expect("a stream") else {
        panic!("a first request is answered")
    };
    assert_eq!((answer.resources.len(), answer.removed_resources.len()), (0, 0));
    world.names = 1;
    fixture.update(&world);
    assert_eq!(address(&table(&mut connection).await.0), "10.96.0.1");
}

#[tokio::test]
async fn agents_of_both_kinds_follow_the_roots_that_are_trusted() {
    let kind = ResourceType::ProxyConfig;
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut world = world();
        let fixture = Fixture::with(&world).await;
        let mut connection = Connection::open(fixture.address, variant).await.expect("a stream");
        connection.send(&request_of(kind, variant, "", None));
        let (first, nonce, _): (ProxyConfig, _, _) = resource(kind, &mut connection).await;
        assert_eq!(first.ca_certificates_pem, ["root 0"]);
        connection.send(&request_of(kind, variant, &nonce, None));
        // Of a change of anything else nothing is heard.
        world.endpoints.insert(1, 77);
        fixture.update(&world);
        world.names = 1;
        fixture.update(&world);
        let (next, _, _): (ProxyConfig, _, _) = resource(kind, &mut connection).await;
        assert_eq!(next.ca_certificates_pem, ["root 1"]);
    }
}
