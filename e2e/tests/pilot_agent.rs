//! The reference's own agent in front of a stock Envoy: the control plane serves it as it serves ours.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use e2e::{
    Authority, Echo, Mesh, MeshOptions, PilotAgent, Pod, cluster_with_pilot_agent, wait_until, within,
    world_with_pilot_agent,
};
use serde_json::{Value, json};
use testkit::tokens::Issuer;

use crate::identities::{RENEWAL, Shop, chain};
use crate::roots::{self, trusted};
use crate::shop::{REVIEWS, answered};

/// Where the sidecar says that it is ready: its Envoy, which asks its agent, and the agent itself.
const READY: [&str; 2] = ["http://127.0.0.1:15021/healthz/ready", "http://127.0.0.1:15020/healthz/ready"];

/// A rule that can be seen in answers.
fn marked(mark: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web]
  http: [{{headers: {{response: {{set: {{x-mark: '{mark}'}}}}}}, route: [{{destination: {{host: web}}}}]}}]
"
    )
}

/// Applies a rule and waits until it is in force in the Envoy of the reference's agent.
fn follows(shop: &Shop<'_>, mark: &str) -> Result<()> {
    shop.mesh().apply(&marked(mark))?;
    // Its Envoy tries again less and less often while the control plane is away.
    within(RENEWAL, &format!("the rule {mark} to be in force"), || {
        let answer = shop.server().get("http://web:8080/").send()?;
        Ok((answer.header("x-mark") == Some(mark)).then_some(()))
    })
}

fn ready(pod: &Pod) -> Result<bool> {
    for url in READY {
        if pod.get(url).send()?.status != 200 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether both directions are mutual TLS, each side known by its own name.
fn known_by_name(shop: &Shop<'_>) -> Result<()> {
    for (from, url, caller) in
        [(shop.client(), REVIEWS, "web"), (shop.server(), "http://web:8080/", "reviews")]
    {
        let seen = answered(from, url)?;
        let names = seen.client_certificate("URI");
        let wanted = format!("spiffe://cluster.local/ns/shop/sa/{caller}");
        ensure!(names == [wanted.as_str()], "{url} was asked by {names:?}");
    }
    Ok(())
}

#[test]
fn it_is_ready_and_talks_mutual_tls_both_ways_while_certificates_change() {
    world_with_pilot_agent(|world| {
        let shop = Shop::of_pilot_agent(world, Mesh::start(world)?)?;
        within(RENEWAL, "both ports of readiness", || Ok(ready(shop.server())?.then_some(())))?;
        known_by_name(&shop)?;
        let plain = shop.mesh().pod("shop", "plain").sidecar(false).start()?;
        ensure!(plain.get(REVIEWS).send().is_err(), "plain text was taken");
        shop.renewed(3)?;
        let pods = shop.pods();
        shop.mesh().wait_synced(&pods)?;
        shop.all_well()
    });
}

#[test]
fn it_comes_back_to_a_control_plane_that_was_away() {
    world_with_pilot_agent(|world| {
        let shop = Shop::of_pilot_agent(world, Mesh::start(world)?)?;
        follows(&shop, "first")?;
        shop.mesh().kill_control_plane();
        let log = world.dir().join("reviews.shop.pilot-agent.log");
        let failures =
            || -> Result<usize> { Ok(std::fs::read_to_string(&log)?.matches("failed to sign CSR").count()) };
        let before = failures()?;
        within(RENEWAL, "a renewal that fails", || Ok((failures()? > before).then_some(())))?;
        shop.no_failure()?;
        shop.mesh().start_control_plane()?;
        follows(&shop, "second")?;
        shop.renewed(1)?;
        shop.mesh().terminate_control_plane()?;
        shop.mesh().start_control_plane()?;
        follows(&shop, "third")?;
        shop.renewed(1)?;
        shop.all_well()
    });
}

#[test]
fn it_follows_the_replacement_of_the_root() {
    world_with_pilot_agent(|world| {
        let mesh = Mesh::start_with(world, roots::soon_confirmed())?;
        roots::replace(Shop::of_pilot_agent(world, mesh)?)
    });
}

/// Settings that name these roots beside the mesh's own.
fn beside(further: &[&Authority]) -> String {
    let all: Vec<Value> = further.iter().map(|authority| json!({"pem": authority.pem()})).collect();
    json!({"caCertificates": all}).to_string()
}

/// The same as an object.
fn settings(further: &[&Authority]) -> String {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": beside(further)},
    })
    .to_string()
}

#[test]
fn it_is_told_of_further_roots_at_once() {
    world_with_pilot_agent(|world| {
        let env = vec![("ISTIO_MULTIROOT_MESH".to_owned(), "true".to_owned())];
        let (first, second) = (Authority::new()?, Authority::new()?);
        let options = MeshOptions { env, mesh_config: Some(beside(&[&first])), ..MeshOptions::default() };
        let mesh = Mesh::start_with(world, options)?;
        let asking = |name: &str, delta: &str| {
            let variables = [("PROXY_CONFIG_XDS_AGENT", "true"), ("ISTIO_DELTA_XDS", delta)];
            mesh.pod("shop", name).pilot_agent(&variables).start()
        };
        let pods = [asking("delta", "true")?, asking("whole", "false")?];
        let trust = |count: usize| {
            pods.iter().try_for_each(|pod| {
                wait_until(&format!("{count} roots in {pod:?}"), || Ok(trusted(pod)? == count))
            })
        };
        trust(2)?;
        let before = [chain(&pods[0])?, chain(&pods[1])?];
        mesh.apply(&settings(&[&first, &second]))?;
        trust(3)?;
        // They would be good for a day.
        for (pod, before) in pods.iter().zip(&before) {
            wait_until("a certificate under them", || Ok(chain(pod)? != *before))?;
        }
        mesh.apply(&settings(&[]))?;
        trust(1)
    });
}

/// What an agent that captures DNS says of a name (RFC 1035, 4.2.2: over TCP), if it is one address.
fn resolved(pod: &Pod, name: &str) -> Result<Ipv4Addr> {
    // One question, for an address, to be answered without asking others.
    let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len().try_into()?);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    let length: u16 = query.len().try_into()?;
    let session = pod.tcp("127.0.0.1:15053")?.unforetold();
    session.send([&length.to_be_bytes()[..], &query].concat())?;
    let length = u16::from_be_bytes(session.read_bytes(2)?.as_slice().try_into()?);
    let answer = session.read_bytes(length.into())?;
    // No error, one record, which ends in the address.
    let [_, _, _, code, _, _, 0, 1, _, _, _, _, .., a, b, c, d] = *answer else {
        bail!("{name}: {answer:?}")
    };
    ensure!(code & 0xf == 0, "{name}: {answer:?}");
    Ok(Ipv4Addr::new(a, b, c, d))
}

#[test]
fn it_answers_names_from_the_table_that_it_is_sent() {
    world_with_pilot_agent(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        mesh.pod("shop", "reviews").app(Echo::http(8080)).start()?;
        let variables = [("ISTIO_META_DNS_CAPTURE", "true")];
        let client = mesh.pod("shop", "web").pilot_agent(&variables).start()?;
        answered(&client, REVIEWS)?;
        for name in ["reviews.shop.svc.cluster.local", "reviews.shop", "reviews"] {
            let address = within(RENEWAL, name, || Ok(Some(resolved(&client, name)?)))?;
            let seen = client.get(&format!("http://{address}:8080/")).host("reviews:8080").send()?.seen()?;
            ensure!(seen.pod == "reviews", "{name} is {address}: {seen:?}");
        }
        mesh.service("shop", "later").port("http", 8080).selector(&[("app", "reviews")]).create()?;
        within(RENEWAL, "a name that came later", || Ok(Some(resolved(&client, "later.shop")?)))?;
        Ok(())
    });
}

/// A token for the control plane of an issuer that it does not know.
fn foreign() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Issuer::new()?.sign(&json!({
        "iss": "kubernetes/serviceaccount", "aud": ["istio-ca"], "sub": "system:serviceaccount:shop:web",
        "exp": (now + Duration::from_secs(600)).as_secs(),
    }))
}

/// Waits until the agent says once more that it is refused, and the control plane says why: who tries doors is not told.
fn refused(mesh: &Mesh<'_>, agent: &PilotAgent, why: &str) -> Result<()> {
    let times = || Ok::<_, anyhow::Error>(agent.log()?.matches("request authenticate failure").count());
    let before = times()?;
    within(RENEWAL, "the agent to say that it is refused", || Ok((times()? > before).then_some(())))?;
    wait_until("the control plane to say why", || Ok(mesh.log()?.contains(why)))
}

/// An agent with bad tokens, one after the other, and then a good one; `stranger` says why one of an issuer that is not known
/// is refused.
fn only_good_tokens_pass(mesh: &Mesh<'_>, stranger: &str) -> Result<()> {
    let pod = mesh.pod("shop", "stranger").service_account("web").sidecar(false).start()?;
    let elsewhere = mesh.token(&pod, "https://elsewhere")?;
    let agent = mesh.pilot_agent(&pod, &elsewhere)?;
    refused(mesh, &agent, "its audiences are [\"https://elsewhere\"]")?;
    agent.set_token(&foreign()?)?;
    refused(mesh, &agent, stranger)?;
    let state = pod.get(READY[1]).send()?;
    ensure!(state.status != 200, "it is ready: {state:?}");
    ensure!(!agent.log()?.contains("generated new workload certificate"), "it has a certificate");
    agent.set_token(&mesh.token(&pod, "istio-ca")?)?;
    within(RENEWAL, "the agent to be ready with a good token", || Ok(ready(&pod)?.then_some(())))
}

#[test]
fn only_good_tokens_are_taken() {
    world_with_pilot_agent(|world| {
        only_good_tokens_pass(&Mesh::start(world)?, "its key is not among those that are published")
    });
}

#[test]
fn tokens_of_an_api_server_are_taken_while_their_pod_is_there() {
    cluster_with_pilot_agent(|cluster| {
        let mesh = Mesh::on(cluster, MeshOptions::default())?;
        only_good_tokens_pass(&mesh, "the API server says: [invalid bearer token")?;
        let shop = Shop::of_pilot_agent(cluster.world(), mesh)?;
        known_by_name(&shop)?;
        shop.renewed(1)?;
        cluster.delete("Pod", "shop", "reviews")?;
        within(RENEWAL, "its token to be refused", || {
            Ok(shop.mesh().log()?.contains("service account token has been invalidated").then_some(()))
        })
    });
}
