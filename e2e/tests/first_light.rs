//! The first thing that a mesh must do: a stock Envoy that knows only the control plane's address answers a request.

use anyhow::Result;
use e2e::{Echo, Mesh, Pod, World, wait_until, world};
use http::StatusCode;

/// Stat of requests that Envoy finished towards `reviews`; `.` stands for the `|` of the cluster's name.
const FINISHED: &str = "^cluster.outbound.8080..reviews.shop.svc.cluster.local;?.upstream_rq_completed$";

/// An app without a proxy behind a Service, and what a client's sidecar makes of it.
fn a_request_is_answered(world: &World, start_client: impl FnOnce(&Mesh<'_>) -> Result<Pod>) -> Result<()> {
    let mesh = Mesh::start(world)?;
    mesh.service("shop", "reviews").port("http", 8080).create()?;
    let server = mesh.pod("shop", "reviews").sidecar(false).app(Echo::http(8080)).start()?;
    let client = start_client(&mesh)?;
    wait_until("the first answer", || {
        Ok(client.get("http://reviews:8080/").send()?.expect(StatusCode::OK)?.seen().is_ok())
    })?;
    let before = client.envoy()?.stat(FINISHED)?;
    let seen = client.get("http://reviews.shop:8080/path?q=1").header("x-a", "b").send()?.seen()?;
    assert_eq!((seen.pod.as_str(), seen.namespace.as_str()), ("reviews", "shop"));
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/path?q=1"));
    assert_eq!((seen.host.as_str(), seen.header("x-a")), ("reviews.shop:8080", Some("b")));
    assert_eq!(client.envoy()?.stat(FINISHED)?, before + 1, "the client's sidecar took no part");
    assert!(server.app().requests() >= 2);

    mesh.wait_synced(&[&client])?;
    assert_eq!(mesh.metric("pilot_total_xds_rejects")?, 0.0);
    assert!(mesh.metric("pilot_xds")? >= 1.0, "the control plane counts no client");
    Ok(())
}

#[test]
fn over_delta_ads() {
    world(|world| {
        a_request_is_answered(world, |mesh| mesh.pod("shop", "web").start())?;
        Ok(())
    });
}

#[test]
fn over_state_of_the_world_ads() {
    world(|world| {
        a_request_is_answered(world, |mesh| mesh.pod("shop", "web").state_of_the_world().start())?;
        Ok(())
    });
}
