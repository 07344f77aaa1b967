//! Certificates as clients see them: names, renewal, another root, files that change.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use ca::{Authority, PrivateKey, ServerRequest};
use model::mesh::Compliance;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use super::{Certificate, Files, Policy, TlsListener, Version};

const NAME: &str = "istiod.istio-system.svc";

/// What waiting for an event may take on a slow machine.
const LONG: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "certificates are checked against the clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn root() -> Result<Arc<Authority>> {
    Ok(Arc::new(Authority::self_signed(ca::Root::generate("cluster.local", now())?, None)?))
}

/// A server that answers everything with one page.
struct Server {
    address: std::net::SocketAddr,
    _task: tokio::task::JoinSet<()>,
}

impl Server {
    async fn start(certificate: &Certificate, policy: &Policy) -> Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(policy.config(certificate.shown())?));
        let listener = TlsListener::new(socket, acceptor)?;
        let pages = axum::Router::new().fallback(|| async { "here" });
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { drop(axum::serve(listener, pages).await) });
        Ok(Self { address, _task: task })
    }

    /// A connection that trusts `roots` and asks for `name`.
    async fn connect(&self, roots: &str, name: &str) -> Result<client::TlsStream<TcpStream>> {
        self.connect_with(roots, name, rustls::DEFAULT_VERSIONS).await
    }

    async fn connect_with(
        &self,
        roots: &str,
        name: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<client::TlsStream<TcpStream>> {
        use rustls::pki_types::pem::PemObject;
        let mut trusted = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            trusted.add(root?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(name.to_owned())?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, socket).await?)
    }
}

/// Asks for a page over a connection that goes on afterwards.
async fn ask(connection: &mut client::TlsStream<TcpStream>) -> Result<()> {
    connection.write_all(b"GET / HTTP/1.1\r\nHost: istiod\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"here") {
        let mut part = [0; 512];
        let length = connection.read(&mut part).await?;
        ensure!(length > 0, "the connection ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..length]);
    }
    Ok(())
}

/// What the server of a connection showed.
fn shown(connection: &client::TlsStream<TcpStream>) -> Result<CertificateDer<'static>> {
    let chain = connection.get_ref().1.peer_certificates().context("no certificate")?;
    Ok(chain.first().context("no certificate")?.clone())
}

#[tokio::test]
async fn clients_that_trust_the_root_are_served_under_every_name() -> Result<()> {
    let root = root()?;
    let (_sender, receiver) = watch::channel(Some(Arc::clone(&root)));
    let certificate = Certificate::signed(receiver, vec![NAME.to_owned(), "127.0.0.1".to_owned()]).await?;
    ensure!(certificate.roots().borrow().as_deref() == Some(root.root_bundle()));
    let server = Server::start(&certificate, &Policy::default()).await?;
    for name in [NAME, "127.0.0.1"] {
        ask(&mut server.connect(root.root_bundle(), name).await?).await?;
    }
    assert!(server.connect(root.root_bundle(), "elsewhere.svc").await.is_err());
    assert!(server.connect(self::root()?.root_bundle(), NAME).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_client_that_says_nothing_holds_up_nobody() -> Result<()> {
    let root = root()?;
    let (_sender, receiver) = watch::channel(Some(Arc::clone(&root)));
    let certificate = Certificate::signed(receiver, vec![NAME.to_owned()]).await?;
    let server = Server::start(&certificate, &Policy::default()).await?;
    let _silent = TcpStream::connect(server.address).await?;
    ask(&mut server.connect(root.root_bundle(), NAME).await?).await
}

#[tokio::test]
async fn another_root_signs_at_once_and_connections_go_on() -> Result<()> {
    let (old, new) = (root()?, root()?);
    let (sender, receiver) = watch::channel(Some(Arc::clone(&old)));
    let certificate = Certificate::signed(receiver, vec![NAME.to_owned()]).await?;
    let server = Server::start(&certificate, &Policy::default()).await?;
    let mut before = server.connect(old.root_bundle(), NAME).await?;
    ask(&mut before).await?;
    let mut roots = certificate.roots();
    roots.mark_unchanged();
    sender.send(Some(Arc::clone(&new)))?;
    tokio::time::timeout(LONG, roots.changed()).await??;
    ensure!(certificate.roots().borrow().as_deref() == Some(new.root_bundle()));
    ask(&mut before).await?;
    ask(&mut server.connect(new.root_bundle(), NAME).await?).await?;
    assert!(server.connect(old.root_bundle(), NAME).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_renewed_long_before_it_ends() -> Result<()> {
    let root = root()?;
    let (sender, receiver) = watch::channel(Some(Arc::clone(&root)));
    let certificate = Certificate::signed(receiver, vec![NAME.to_owned()]).await?;
    // Nobody replaces the root any more: renewal goes on.
    drop(sender);
    let server = Server::start(&certificate, &Policy::default()).await?;
    let first = shown(&server.connect(root.root_bundle(), NAME).await?)?;
    let mut roots = certificate.roots();
    roots.mark_unchanged();
    tokio::time::pause();
    tokio::time::timeout(Duration::from_secs(16 * 24 * 3600), roots.changed()).await??;
    tokio::time::resume();
    assert_ne!(shown(&server.connect(root.root_bundle(), NAME).await?)?, first);
    Ok(())
}

fn issued(root: &Authority) -> Result<(String, String)> {
    let key = PrivateKey::generate()?;
    let lifetime = Duration::from_secs(3600);
    let request = ServerRequest { public_key: key.public_key()?, names: vec![NAME.to_owned()], lifetime };
    Ok((root.sign_server(&request, now())?.chain_pem, key.expose_pem().to_string()))
}

#[tokio::test(start_paused = true)]
async fn files_are_read_again_and_mistakes_in_them_change_nothing() -> Result<()> {
    let (old, new) = (root()?, root()?);
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    let files = Files { certificate: path("tls.crt"), key: path("tls.key"), roots: Some(path("ca.crt")) };
    assert!(Certificate::from_files(files.clone()).is_err());
    let (chain, key) = issued(&old)?;
    fs::write(&files.certificate, chain)?;
    fs::write(&files.key, key)?;
    fs::write(path("ca.crt"), old.root_bundle())?;
    let certificate = Certificate::from_files(files.clone())?;
    let mut roots = certificate.roots();
    ensure!(roots.borrow_and_update().as_deref() == Some(old.root_bundle()));

    let (chain, key) = issued(&new)?;
    fs::write(&files.certificate, chain)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!roots.has_changed()?, "the key is not the certificate's");
    fs::write(path("ca.crt"), new.root_bundle())?;
    fs::write(&files.key, key)?;
    roots.changed().await?;
    ensure!(roots.borrow().as_deref() == Some(new.root_bundle()));
    tokio::time::resume();
    let server = Server::start(&certificate, &Policy::default()).await?;
    ask(&mut server.connect(new.root_bundle(), NAME).await?).await
}

#[test]
fn half_of_a_pair_of_files_is_a_mistake() {
    let one = || Some("tls.crt".into());
    for (certificate, key) in [(one(), None), (None, one())] {
        let error = Files::of(certificate, key, None).expect_err("half a pair").to_string();
        assert!(error.contains("is missing"), "{error}");
    }
}

#[tokio::test]
async fn older_versions_are_turned_away_if_a_flag_says_so() -> Result<()> {
    let root = root()?;
    let (_sender, receiver) = watch::channel(Some(Arc::clone(&root)));
    let certificate = Certificate::signed(receiver, vec![NAME.to_owned()]).await?;
    let policy = Policy { least: Version::Tls13, ..Policy::default() };
    let server = Server::start(&certificate, &policy).await?;
    let pem = root.root_bundle();
    ask(&mut server.connect_with(pem, NAME, &[&rustls::version::TLS13]).await?).await?;
    assert!(server.connect_with(pem, NAME, &[&rustls::version::TLS12]).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_standard_decides_what_is_spoken() -> Result<()> {
    use rustls::version::{TLS12, TLS13};
    let root = root()?;
    let (_sender, receiver) = watch::channel(Some(Arc::clone(&root)));
    let certificate = Certificate::signed(receiver, vec![NAME.to_owned()]).await?;
    for (standard, version, other, group) in [
        (Compliance::Fips1402, &TLS12, Some(&TLS13), NamedGroup::secp256r1),
        (Compliance::Fips1403, &TLS13, None, NamedGroup::secp256r1),
        (Compliance::Pqc, &TLS13, Some(&TLS12), NamedGroup::X25519MLKEM768),
    ] {
        let server = Server::start(&certificate, &Policy { standard, ..Policy::default() }).await?;
        let mut stream = server.connect_with(root.root_bundle(), NAME, &[version]).await?;
        ask(&mut stream).await?;
        let spoken = stream.get_ref().1.negotiated_key_exchange_group().map(|group| group.name());
        ensure!(spoken == Some(group), "{standard:?}: {spoken:?}");
        if let Some(other) = other {
            ensure!(server.connect_with(root.root_bundle(), NAME, &[other]).await.is_err(), "{standard:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_root_that_is_not_known_yet_is_waited_for() -> Result<()> {
    let (sender, receiver) = watch::channel(None);
    let waiting = tokio::spawn(Certificate::signed(receiver, vec![NAME.to_owned()]));
    let root = root()?;
    sender.send(Some(Arc::clone(&root)))?;
    let certificate = waiting.await??;
    ensure!(certificate.roots().borrow().as_deref() == Some(root.root_bundle()));
    let (sender, receiver) = watch::channel(None);
    drop(sender);
    assert!(Certificate::signed(receiver, vec![NAME.to_owned()]).await.is_err());
    Ok(())
}

#[test]
fn half_of_the_life_that_is_left_is_waited_for() {
    let end = |seconds| now() + Duration::from_secs(seconds);
    let waits = [7200, 20, 0].map(|seconds| super::certificate::renewal(end(seconds), now()).as_secs());
    assert!((3590..=3600).contains(&waits[0]), "{waits:?}");
    assert_eq!(waits[1..], [60, 60], "not in a circle");
    assert_eq!(super::certificate::renewal(SystemTime::UNIX_EPOCH, now()).as_secs(), 60);
}
