//! Sessions: requests with the cookie that the first answer set go on to the pod that gave it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Echo, Mesh, MeshOptions, within, world};

#[test]
fn a_session_stays_with_the_pod_that_began_it() {
    world(|world| {
        let env = vec![("PILOT_ENABLE_PERSISTENT_SESSION_FILTER".to_owned(), "true".to_owned())];
        let mesh = Mesh::start_with(world, MeshOptions { env, ..MeshOptions::default() })?;
        mesh.apply(
            "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, labels: {istio.io/persistent-session: sid}}
spec: {selector: {app: cart}, ports: [{name: http, port: 8080}]}
",
        )?;
        for name in ["cart-1", "cart-2", "cart-3"] {
            let pod = mesh.pod("shop", name).labels(&[("app", "cart")]).sidecar(false);
            pod.app(Echo::http(8080)).start()?;
        }
        let client = mesh.pod("shop", "client").start()?;
        let call = client.get("http://cart.shop:8080/");
        let first = within(Duration::from_secs(20), "an answer that begins a session", || {
            let answer = call.send()?;
            ensure!(answer.header("set-cookie").is_some(), "{answer:?}");
            Ok(Some(answer))
        })?;
        let cookie = first.header("set-cookie").and_then(|c| c.split(';').next()).context("a cookie")?;
        let pod = first.seen()?.pod;
        let again: Result<Vec<String>> =
            (0..12).map(|_| Ok(call.clone().header("cookie", cookie).send()?.seen()?.pod)).collect();
        assert_eq!(again?, vec![pod; 12]);
        client.wait_settled()
    });
}
