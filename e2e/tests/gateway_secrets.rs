//! Certificates of gateways in Secrets: sent to who may have them, replaced under load, and what becomes of those that are
//! gone, broken, or another's.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Authority, Call, Echo, Mesh, Pod, World, wait_until, world};

use crate::edge::{answers, gateway, host_at, https, pair, secret, secret_of};

/// How often the certificate is replaced under load.
const ROUNDS: usize = 5;

/// A gateway `edge` that is known by its certificate, an outside client, and a service in the mesh.
struct Edge<'w> {
    mesh: Mesh<'w>,
    client: Pod,
    gateway: Pod,
}

impl<'w> Edge<'w> {
    fn start(world: &'w World) -> Result<Self> {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "catalog").port("http", 8080).create()?;
        mesh.pod("shop", "catalog").sidecar(false).app(Echo::http(8080)).start()?;
        let gateway = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
        let client = world.pod("outside", "browser").start()?;
        for host in ["catalog.example.com", "cart.example.com"] {
            world.host(host, gateway.ip().into())?;
        }
        Ok(Self { mesh, client, gateway })
    }

    /// The Gateway with one server, which ends TLS in the way that the fields of `tls` say; all of it leads to `catalog`.
    fn serve(&self, hosts: &str, tls: &str) -> Result<()> {
        self.mesh.apply(&gateway("edge", &https("https", 8443, hosts, tls)))?;
        self.mesh.apply(&host_at("edge", "catalog"))
    }

    /// A call of a client that trusts these roots, on a connection of its own.
    fn call(&self, roots: &str) -> Call {
        self.client.get("https://catalog.example.com:8443/").trust(roots)
    }

    /// The names of the secrets that the control plane has for the gateway.
    fn secrets(&self) -> Result<String> {
        let page = self.mesh.get("/debug/config_dump?proxyID=edge.edge&types=sds")?;
        Ok(String::from_utf8_lossy(&page.body).into_owned())
    }
}

#[test]
fn a_certificate_is_replaced_under_load() {
    world(|world| {
        let edge = Edge::start(world)?;
        edge.serve("catalog.example.com", "mode: SIMPLE, credentialName: shown")?;
        // The Secret may come after the Gateway that names it.
        let authorities: Vec<Authority> = (0..ROUNDS).map(|_| Authority::new()).collect::<Result<_>>()?;
        let replace = |authority: &Authority| {
            edge.mesh.apply(&secret("shown", &pair(&authority.issue(&["catalog.example.com"])?)))
        };
        replace(&authorities[0])?;
        let first = edge.call(&authorities[0].pem());
        answers(&first, 200)?;

        // Connections that stay, whose clients would not trust what comes later; and a new one for each call.
        let kept = edge.client.load_of(&first, 4)?;
        let all: String = authorities.iter().map(Authority::pem).collect();
        let anew = edge.call(&all);
        let (done, calls) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            let caller = scope.spawn(|| -> Result<()> {
                while !done.load(Ordering::Relaxed) {
                    let answer = anew.send()?;
                    ensure!(answer.status == 200, "{answer:?}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            let replaced = authorities.iter().skip(1).try_for_each(|authority| {
                let before = calls.load(Ordering::Relaxed);
                replace(authority)?;
                answers(&edge.call(&authority.pem()), 200)?;
                wait_until("new connections", || {
                    Ok(caller.is_finished() || calls.load(Ordering::Relaxed) > before + 2)
                })?;
                kept.wait_for(20)
            });
            done.store(true, Ordering::Relaxed);
            caller.join().expect("the caller").and(replaced)
        })?;
        first.send().expect_err("the certificate of the first round is no longer shown");
        kept.stop().only_successes()?;
        edge.gateway.wait_settled()
    });
}

#[test]
fn what_is_gone_or_broken_leaves_the_last_good_certificate() {
    world(|world| {
        let edge = Edge::start(world)?;
        let (old, new) = (Authority::new()?, Authority::new()?);
        let shown = old.issue(&["catalog.example.com"])?;
        edge.mesh.apply(&secret("shown", &pair(&shown)))?;
        edge.serve("catalog.example.com", "mode: SIMPLE, credentialName: shown")?;
        answers(&edge.call(&old.pem()), 200)?;

        // The key is another's: Envoy refuses it, and the owner is told.
        edge.gateway.envoy()?.expect_refusal("KEY_VALUES_MISMATCH");
        let other = old.issue(&["catalog.example.com"])?;
        let mixed = [("tls.crt", shown.certificate.as_bytes()), ("tls.key", other.key.as_bytes())];
        edge.mesh.apply(&secret("shown", &mixed))?;
        wait_until("the refusal", || Ok(edge.gateway.envoy()?.stat("sds.*update_rejected$")? > 0))?;
        answers(&edge.call(&old.pem()), 200)?;
        edge.mesh.tells(&["edge/shown"])?;

        // No certificate at all is nothing that could be sent, as if the Secret were gone.
        let name = "kubernetes://edge/shown";
        edge.mesh.apply(&secret("shown", &[("tls.crt", shown.certificate.as_bytes())]))?;
        wait_until("nothing to be had", || Ok(!edge.secrets()?.contains(name)))?;
        answers(&edge.call(&old.pem()), 200)?;

        edge.mesh.apply(&secret("shown", &pair(&shown)))?;
        wait_until("the certificate to be back", || Ok(edge.secrets()?.contains(name)))?;
        edge.mesh.delete("Secret", "edge", "shown")?;
        wait_until("it to be gone", || Ok(!edge.secrets()?.contains(name)))?;
        answers(&edge.call(&old.pem()), 200)?;
        edge.mesh.apply(&secret("shown", &pair(&new.issue(&["catalog.example.com"])?)))?;
        answers(&edge.call(&new.pem()), 200)?;
        edge.call(&old.pem()).send().expect_err("the old certificate is no longer shown");
        edge.gateway.wait_settled()
    });
}

#[test]
fn clients_are_held_against_roots_in_secrets() {
    world(|world| {
        let edge = Edge::start(world)?;
        let (servers, clients, others) = (Authority::new()?, Authority::new()?, Authority::new()?);
        let shown = servers.issue(&["catalog.example.com"])?;
        let (known, stolen) = (clients.issue(&["anna.example.com"])?, clients.issue(&["emil.example.com"])?);
        let stranger = others.issue(&["anna.example.com"])?;
        let call = || edge.call(&servers.pem());

        // Roots in a Secret of their own.
        edge.mesh.apply(&secret("shown", &pair(&shown)))?;
        edge.mesh.apply(&secret("shown-cacert", &[("cacert", clients.pem().as_bytes())]))?;
        edge.serve("catalog.example.com", "mode: MUTUAL, credentialName: shown")?;
        answers(&call().identity(&known), 200)?;
        call().send().expect_err("no certificate");
        call().identity(&stranger).send().expect_err("another root");
        answers(&call().identity(&stolen), 200)?;

        // A list of those that were taken back.
        let list = clients.revoke(&[&stolen])?;
        let roots = clients.pem();
        edge.mesh
            .apply(&secret("shown-cacert", &[("cacert", roots.as_bytes()), ("crl", list.as_bytes())]))?;
        wait_until("the stolen certificate to be refused", || Ok(call().identity(&stolen).send().is_err()))?;
        answers(&call().identity(&known), 200)?;

        // Roots beside the certificate, once nobody has them in a Secret of their own.
        let (others_roots, others_list) = (others.pem(), others.revoke(&[])?);
        let [chain, key] = pair(&shown);
        let beside = [chain, key, ("ca.crt", others_roots.as_bytes()), ("ca.crl", others_list.as_bytes())];
        edge.mesh.apply(&secret("shown", &beside))?;
        edge.mesh.delete("Secret", "edge", "shown-cacert")?;
        answers(&call().identity(&stranger), 200)?;
        call().identity(&known).send().expect_err("these roots no longer count");

        // Who shows one is looked at, who shows none is served all the same.
        edge.serve("catalog.example.com", "mode: OPTIONAL_MUTUAL, credentialName: shown")?;
        answers(&call(), 200)?;
        answers(&call().identity(&stranger), 200)?;
        call().identity(&known).send().expect_err("another root");
        edge.gateway.wait_settled()
    });
}

#[test]
fn several_certificates_are_told_apart_by_name_and_come_with_their_staples() {
    world(|world| {
        let edge = Edge::start(world)?;
        let authority = Authority::new()?;
        for name in ["catalog", "cart"] {
            let identity = authority.issue(&[&format!("{name}.example.com")])?;
            let staple = authority.staple(&identity)?;
            let [chain, key] = pair(&identity);
            edge.mesh.apply(&secret(name, &[chain, key, ("tls.ocsp-staple", &staple)]))?;
        }
        edge.serve("*.example.com", "mode: SIMPLE, credentialNames: [catalog, cart]")?;
        edge.mesh.apply(&host_at("edge", "catalog").replace("catalog.example.com", "'*.example.com'"))?;
        for name in ["catalog", "cart"] {
            let call = edge.client.get(&format!("https://{name}.example.com:8443/"));
            answers(&call.trust(&authority.pem()), 200)?;
        }
        let stapled = edge.gateway.envoy()?.stat("ssl.ocsp_staple_responses$")?;
        ensure!(stapled >= 2, "{stapled} handshakes came with a staple");
        edge.gateway.wait_settled()
    });
}

#[test]
fn nobody_is_sent_what_is_not_his() {
    world(|world| {
        let edge = Edge::start(world)?;
        let authority = Authority::new()?;
        let shown = authority.issue(&["catalog.example.com"])?;
        edge.mesh.apply(&secret("shown", &pair(&shown)))?;
        edge.mesh.apply(&secret_of("bank", "vault", &pair(&authority.issue(&["cart.example.com"])?)))?;
        // A gateway of the same labels whose proxy shows no certificate.
        let plaintext = "10.77.0.1:15010".parse()?;
        let nobody = edge.mesh.pod("edge", "nobody").labels(&[("istio", "edge")]).gateway();
        let unknown = nobody.discovery(plaintext).start()?;
        edge.serve("catalog.example.com", "mode: SIMPLE, credentialName: shown")?;
        answers(&edge.call(&authority.pem()), 200)?;

        // One that names what it may not have harms nobody else.
        let tls = "mode: SIMPLE, credentialName: 'kubernetes-gateway://bank/vault'";
        edge.mesh.apply(&gateway("thief", &https("thief", 9443, "cart.example.com", tls)))?;
        wait_until("it to be asked for", || Ok(edge.mesh.text("/debug/adsz")?.contains("bank/vault")))?;
        answers(&edge.call(&authority.pem()), 200)?;
        let stolen = edge.client.get("https://cart.example.com:9443/").trust(&authority.pem());
        stolen.timeout(Duration::from_secs(2)).send().expect_err("no certificate is there");
        ensure!(!edge.secrets()?.contains("bank/vault"), "it is sent");

        world.host("catalog.example.com", unknown.ip().into())?;
        edge.call(&authority.pem()).timeout(Duration::from_secs(2)).send().expect_err("nobody knows it");
        let page = edge.mesh.get("/debug/config_dump?proxyID=nobody.edge&types=sds")?;
        ensure!(!String::from_utf8_lossy(&page.body).contains("edge/shown"), "{page:?}");
        Ok(())
    });
}
