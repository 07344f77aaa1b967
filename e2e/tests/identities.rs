//! Identities in a mesh at work: plain text ends, certificates and authorities change, the control plane is away; no request
//! fails that should not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Echo, Intermediate, Load, Mesh, MeshOptions, Pod, PodBuilder, World, wait_until, within, world};
use serde_json::Value;

use crate::shop::{REVIEWS, answered, policy};

/// How long certificates are good that change while a story looks on; agents renew them at half of it.
const SHORT: Duration = Duration::from_secs(8);

/// How long a certificate's successor may take on a machine that has other things to do.
pub(crate) const RENEWAL: Duration = Duration::from_secs(40);

/// The client's own address.
const WEB: &str = "http://web:8080/";

/// Every request begins a connection between the sidecars, with the certificates of that moment.
const A_HANDSHAKE_EACH: &str = "{connectionPool: {http: {maxRequestsPerConnection: 1}}}";

fn mode(mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: shop}}
spec: {{mtls: {{mode: {mode}}}}}
"
    )
}

/// A client and a server in strict mode under load, whose certificates are soon renewed.
pub(crate) struct Shop<'w> {
    world: &'w World,
    mesh: Mesh<'w>,
    client: Pod,
    server: Pod,
    /// Each with the pod that answers.
    loads: Vec<(Load, Pod)>,
}

impl<'w> Shop<'w> {
    /// With agents of our own.
    pub(crate) fn start(world: &'w World, options: MeshOptions) -> Result<Self> {
        let shop = Self::of(world, Mesh::start_with(world, options)?, |pod| pod)?;
        shop.loaded(4)
    }

    /// With the reference's agent at the server, and requests in both directions.
    pub(crate) fn of_pilot_agent(world: &'w World, mesh: Mesh<'w>) -> Result<Self> {
        let mut shop = Self::of(world, mesh, |pod| pod.pilot_agent(&[]))?;
        answered(&shop.server, WEB)?;
        let back = shop.server.load(WEB, 2)?;
        back.wait_for(20)?;
        shop.loads.push((back, shop.client.clone()));
        shop.loaded(2)
    }

    fn of(
        world: &'w World,
        mesh: Mesh<'w>,
        agent: impl Fn(PodBuilder<'_>) -> PodBuilder<'_>,
    ) -> Result<Self> {
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        mesh.service("shop", "web").port("http", 8080).create()?;
        mesh.apply(&mode("STRICT"))?;
        for host in ["reviews", "web"] {
            mesh.apply(&policy(host, A_HANDSHAKE_EACH))?;
        }
        let pod = |name: &str| {
            mesh.pod("shop", name).service_account(name).certificates_for(SHORT).app(Echo::http(8080))
        };
        let server = agent(pod("reviews")).start()?;
        let client = pod("web").start()?;
        answered(&client, REVIEWS)?;
        Ok(Self { world, mesh, client, server, loads: Vec::new() })
    }

    fn loaded(mut self, connections: usize) -> Result<Self> {
        let load = self.client.load(REVIEWS, connections)?;
        load.wait_for(20)?;
        self.loads.push((load, self.server.clone()));
        Ok(self)
    }

    /// The mesh that both are in.
    pub(crate) fn mesh(&self) -> &Mesh<'w> {
        &self.mesh
    }

    /// The pod that is asked by the load.
    pub(crate) fn server(&self) -> &Pod {
        &self.server
    }

    /// The pod that asks.
    pub(crate) fn client(&self) -> &Pod {
        &self.client
    }

    /// Fails if a request has failed so far.
    pub(crate) fn no_failure(&self) -> Result<()> {
        self.loads.iter().try_for_each(|(load, _)| load.so_far().only_successes())
    }

    /// Both pods.
    pub(crate) fn pods(&self) -> [&Pod; 2] {
        [&self.client, &self.server]
    }

    /// Waits until both sidecars have shown so many further certificates.
    pub(crate) fn renewed(&self, times: usize) -> Result<()> {
        for pod in self.pods() {
            let mut seen = BTreeSet::from([chain(pod)?]);
            let what = format!("{times} further certificates of {pod:?}");
            within(RENEWAL * times.try_into()?, &what, || {
                seen.insert(chain(pod)?);
                Ok((seen.len() > times).then_some(()))
            })?;
        }
        Ok(())
    }

    /// What the client's agent has said.
    fn agent_log(&self) -> Result<String> {
        let log = self.world.dir().join("web.shop.agent.log");
        fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))
    }

    /// Ends the load, which must not have had a single failure, with a handshake for each request.
    pub(crate) fn all_well(self) -> Result<()> {
        for (load, server) in self.loads {
            load.wait_for(50)?;
            let report = load.stop();
            report.only_successes()?;
            let handshakes = server.envoy()?.stat("^listener.*ssl.handshake$")?;
            ensure!(handshakes >= report.total(), "{handshakes} handshakes, {} requests", report.total());
        }
        Ok(())
    }
}

/// A certificate or a bundle of roots that a sidecar works with, as base64 of its PEM.
fn secret(pod: &Pod, name: &str, field: &str) -> Result<String> {
    let dump = pod.envoy()?.admin_json("/config_dump?resource=dynamic_active_secrets")?;
    let secrets = dump.pointer("/configs").and_then(Value::as_array).context("no secrets")?;
    let secret = secrets.iter().find(|secret| secret.pointer("/name").is_some_and(|found| found == name));
    let bytes = secret.and_then(|secret| secret.pointer(&format!("/secret/{field}/inline_bytes")));
    Ok(bytes.and_then(Value::as_str).with_context(|| format!("no secret {name} in {dump}"))?.to_owned())
}

pub(crate) fn chain(pod: &Pod) -> Result<String> {
    secret(pod, "default", "tls_certificate/certificate_chain")
}

pub(crate) fn roots(pod: &Pod) -> Result<String> {
    secret(pod, "ROOTCA", "validation_context/trusted_ca")
}

#[test]
fn plain_text_ends_and_comes_back_without_a_lost_request() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).port("tcp", 9000).create()?;
        let server = mesh.pod("shop", "reviews").app(Echo::http(8080)).app(Echo::tcp(9000)).start()?;
        let client = mesh.pod("shop", "web").start()?;
        let plain = mesh.pod("shop", "plain").sidecar(false).start()?;
        answered(&client, REVIEWS)?;
        answered(&plain, REVIEWS)?;
        let load = client.load(REVIEWS, 4)?;
        load.wait_for(50)?;
        for _ in 0..3 {
            mesh.apply(&mode("STRICT"))?;
            wait_until("plain text to be refused", || Ok(plain.get(REVIEWS).send().is_err()))?;
            let tcp = plain.tcp("reviews:9000").and_then(|session| {
                session.send_line("hello")?;
                session.read_line()
            });
            ensure!(tcp.is_err(), "plain TCP was taken: {tcp:?}");
            load.wait_for(50)?;
            mesh.apply(&mode("PERMISSIVE"))?;
            wait_until("plain text to be taken", || Ok(plain.get(REVIEWS).send()?.status == 200))?;
            load.wait_for(50)?;
        }
        load.stop().only_successes()?;
        mesh.wait_synced(&[&client, &server])
    });
}

#[test]
fn certificates_change_every_few_seconds() {
    world(|world| {
        let shop = Shop::start(world, MeshOptions::default())?;
        shop.renewed(3)?;
        shop.all_well()
    });
}

#[test]
fn the_control_plane_is_away_while_certificates_are_due() {
    world(|world| {
        let shop = Shop::start(world, MeshOptions::default())?;
        shop.renewed(1)?;
        let before = chain(&shop.client)?;
        shop.mesh.kill_control_plane();
        let tries =
            || Ok::<_, anyhow::Error>(shop.agent_log()?.matches("cannot renew the certificate").count());
        let first = tries()?;
        within(RENEWAL, "three renewals that fail", || Ok((tries()? >= first + 3).then_some(())))?;
        ensure!(chain(&shop.client)? == before, "a certificate from nowhere");
        shop.no_failure()?;
        shop.mesh.start_control_plane()?;
        shop.renewed(1)?;
        shop.all_well()
    });
}

#[test]
fn the_root_is_renewed() {
    world(|world| {
        // Always due, and looked at often.
        let env = [
            ("CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL", "3s"),
            ("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", "100"),
            ("CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR", "false"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let shop = Shop::start(world, MeshOptions { env, ..MeshOptions::default() })?;
        for pod in [&shop.client, &shop.server] {
            let mut seen = BTreeSet::from([roots(pod)?]);
            within(RENEWAL, "two further roots", || {
                seen.insert(roots(pod)?);
                Ok((seen.len() > 2).then_some(()))
            })?;
        }
        shop.all_well()
    });
}

/// Puts the files of a plugged-in authority in place of those that are there, as a kubelet does: all at once.
pub(crate) fn plug(folder: &Path, authority: &Intermediate) -> Result<()> {
    let content = folder.with_extension(authority.name());
    fs::create_dir_all(&content)?;
    for (name, text) in authority.files() {
        fs::write(content.join(name), text).with_context(|| format!("write {name}"))?;
    }
    let link = folder.with_extension("new");
    std::os::unix::fs::symlink(&content, &link)?;
    fs::rename(&link, folder).with_context(|| format!("replace {}", folder.display()))
}

#[test]
fn a_plugged_in_authority_is_replaced() {
    world(|world| {
        let [first, second] = Intermediate::pair()?;
        let folder: PathBuf = world.dir().join("cacerts");
        plug(&folder, &first)?;
        let env = vec![("ROOT_CA_DIR".to_owned(), folder.display().to_string())];
        let shop = Shop::start(world, MeshOptions { env, ..MeshOptions::default() })?;
        let signed_by = |authority: &Intermediate| -> Result<bool> {
            let shown = |pod| authority.is_in(&chain(pod)?);
            Ok(shown(&shop.client)? && shown(&shop.server)?)
        };
        ensure!(signed_by(&first)? && !signed_by(&second)?);
        plug(&folder, &second)?;
        within(RENEWAL, "certificates of the second authority", || Ok(signed_by(&second)?.then_some(())))?;
        shop.all_well()
    });
}
