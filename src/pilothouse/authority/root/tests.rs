//! Roots that are kept, and authorities that are plugged in and replaced.

use std::path::Path;
use std::time::Duration;

use envoy::config::core::v3::Node;
use envoy::service::discovery::v3::DiscoveryRequest;
use testkit::ads::{Connection, Request, Variant};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use xds::generate::Peer;
use xds::kind::ResourceType;
use xds::metrics::Metrics;
use xds::server::{Config, EngineHandle, Hooks, Server};

use super::*;
use crate::serving::secret_access::Accounts;
use crate::serving::translator::Translator;
use crate::telling::peers::{Proofs, Replica};

/// What waiting for an event may take on a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// A root that is kept in one place, and what decides about it.
struct Started {
    roots: Roots,
    trusted: Trusted,
    root: Root,
    settings: watch::Sender<Option<Ref<MeshConfig>>>,
    tasks: JoinSet<Result<()>>,
    shutdown: CancellationToken,
}

fn started(keeping: Keeping, plugged: &Path) -> Started {
    started_with(keeping, plugged, false, Renewal::default())
}

fn started_with(keeping: Keeping, plugged: &Path, multiroot: bool, renewal: Renewal) -> Started {
    started_at(keeping, plugged, multiroot, renewal, Duration::from_secs(3600))
}

fn started_at(
    keeping: Keeping,
    plugged: &Path,
    multiroot: bool,
    renewal: Renewal,
    stage: Duration,
) -> Started {
    let plugging =
        Plugging { folder: plugged.to_owned(), with_crl: true, multiroot, self_signed: false, remote: None };
    let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
    let pace = Pace { distribute: stage, longest_life: stage };
    let terms = Terms { limits: Limits::default(), renewal, pace };
    let (settings, known) = watch::channel(None);
    let root = start(&mut tasks, Some(keeping), plugging, terms, known, &shutdown);
    let (roots, trusted) = (root.roots.clone(), root.trusted.clone());
    Started { roots, trusted, root, settings, tasks, shutdown }
}

impl Started {
    /// The root, PEM, when the mesh configuration is known.
    async fn root(&mut self) -> String {
        self.settings.send_replace(Some(Ref::default()));
        let root = self.roots.wait_for(Option::is_some).await.expect("a root").clone();
        let trusted = self.trusted.borrow().clone();
        let pem = root.expect("a root").root_bundle().to_owned();
        assert_eq!(trusted.as_deref(), Some(pem.as_str()));
        pem
    }

    async fn end(&mut self) {
        self.shutdown.cancel();
        self.tasks.join_next().await.expect("a task").expect("no panic").expect("no error");
    }
}

#[tokio::test]
async fn a_folder_keeps_the_root_and_memory_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, plugged) = (folder.path().join("state"), folder.path().join("cacerts"));
    let mut kept = Vec::new();
    for keeping in [Keeping::Folder(state.clone()), Keeping::Folder(state), Keeping::Memory, Keeping::Memory]
    {
        let mut started = started(keeping, &plugged);
        kept.push(started.root().await);
        started.end().await;
    }
    assert_eq!(kept[0], kept[1]);
    assert_ne!(kept[2], kept[3]);
}

#[tokio::test]
async fn half_an_authority_stops_the_start() {
    let plugged = tempfile::tempdir().expect("a folder");
    std::fs::write(plugged.path().join("root-cert.pem"), "").expect("a file");
    let mut started = started(Keeping::Memory, plugged.path());
    let error = started.tasks.join_next().await.expect("a task").expect("no panic").expect_err("half");
    let text = error.to_string();
    assert!(text.contains("is incomplete: ca-cert.pem, ca-key.pem, cert-chain.pem missing"), "{text}");
    assert!(started.roots.borrow().is_none() && started.trusted.borrow().is_none());
}

/// Files of a root that signs itself.
fn plug(folder: &Path, signing: &ca::Root, roots: &str) {
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    put("ca-cert.pem", signing.cert_pem());
    put("ca-key.pem", &signing.expose_key_pem());
    put("root-cert.pem", roots);
    put("cert-chain.pem", "");
}

fn made(name: &str) -> ca::Root {
    ca::Root::generate(name, SystemTime::now()).expect("a root")
}

/// What signs, when that becomes another.
async fn signing(started: &mut Started) -> Arc<Authority> {
    timeout(LONG, started.roots.changed()).await.expect("in time").expect("a root");
    started.roots.borrow_and_update().clone().expect("a root")
}

#[tokio::test(start_paused = true)]
async fn a_plugged_in_authority_is_replaced_in_stages() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (made("a"), made("b"));
    let both = format!("{}{}", a.cert_pem(), b.cert_pem());
    plug(folder.path(), &a, a.cert_pem());
    let mut started = started_with(Keeping::Memory, folder.path(), true, Renewal::default());
    let first = signing(&mut started).await;
    assert_eq!(first.root_bundle(), a.cert_pem());
    // Both are trusted before the new one signs; the old one goes last.
    for (signer, roots) in [(&a, both.as_str()), (&b, both.as_str()), (&b, b.cert_pem())] {
        plug(folder.path(), signer, roots);
        let next = signing(&mut started).await;
        assert_eq!(next.root_bundle(), roots);
        assert_eq!(next.standings().len(), if roots == both { 2 } else { 1 });
        assert_eq!(started.trusted.borrow().as_deref(), Some(roots));
    }
    started.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_used_changes_nothing_until_it_is_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (made("a"), made("b"));
    plug(folder.path(), &a, a.cert_pem());
    let mut started = started(Keeping::Memory, folder.path());
    signing(&mut started).await;
    let key = std::fs::read(folder.path().join("ca-key.pem")).expect("a key");
    for change in ["another root", "another key", "half"] {
        match change {
            "another root" => plug(folder.path(), &b, b.cert_pem()),
            "another key" => {
                std::fs::write(folder.path().join("ca-key.pem"), b.expose_key_pem().as_bytes())
                    .expect("a key");
            }
            _ => std::fs::remove_file(folder.path().join("ca-key.pem")).expect("a file"),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!started.roots.has_changed().expect("it goes on"), "{change}");
        plug(folder.path(), &a, a.cert_pem());
        std::fs::write(folder.path().join("ca-key.pem"), &key).expect("a key");
        tokio::time::sleep(Duration::from_secs(5)).await;
        started.roots.mark_unchanged();
    }
    // The same roots in other words.
    plug(folder.path(), &a, &format!("# root\n{}", a.cert_pem()));
    assert!(signing(&mut started).await.root_bundle().starts_with("# root"));
    started.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_root_in_a_folder_is_renewed_in_time_and_keeps_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, plugged) = (folder.path().join("state"), folder.path().join("cacerts"));
    // All of its life is the part in which it is due.
    let renewal = Renewal { grace_percent: 100, ..Renewal::default() };
    let mut started = started_with(Keeping::Folder(state.clone()), &plugged, false, renewal);
    let first = started.root().await;
    let proof = started.roots.borrow_and_update().clone().expect("a root").peer_key().expect("a key");
    let next = timeout(renewal.interval * 3, started.roots.changed()).await;
    next.expect("in time").expect("a root");
    let authority = started.roots.borrow().clone().expect("a root");
    assert_ne!(authority.root_bundle(), first);
    let kept = std::fs::read_to_string(state.join("root-cert.pem")).expect("a certificate");
    assert_eq!(authority.root_bundle(), kept);
    assert_eq!(started.trusted.borrow().as_deref(), Some(kept.as_str()));
    let now = SystemTime::now();
    let key = authority.peer_key().expect("a key");
    assert!(key.proves(&proof.prove("page", now), "page", now), "the same key");
    started.end().await;
}

/// What moves replacements, beside no other replica.
fn mover(started: &mut Started) -> Result<Arc<Mover>> {
    Ok(mover_at(started)?.0)
}

/// The same, and the server whose proxies are asked.
fn mover_at(started: &mut Started) -> Result<(Arc<Mover>, (Server, EngineHandle<Translator>))> {
    let registry = Registry::new();
    let (server, engine) = Server::start(
        Arc::new(Translator::new(Accounts::register(&registry)?.0, true)),
        Config::default(),
        Metrics::register(&registry)?,
        Hooks::default(),
    )?;
    let progress = started.root.progress(&mut started.tasks, server.clients().clone(), &registry)?;
    let own = Replica { namespace: String::new(), name: String::new(), port: None };
    let proofs = Proofs::new(started.roots.clone());
    let others = Others { own, mesh: Arc::default(), proofs, in_pod: false };
    engine.update(Arc::default(), model::Changes::default(), Duration::ZERO);
    Ok((Arc::new(started.root.mover(progress, others)), (server, engine)))
}

#[tokio::test(start_paused = true)]
async fn a_root_is_replaced_in_stages_that_another_process_goes_on_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, plugged) = (folder.path().join("state"), folder.path().join("cacerts"));
    let begin =
        |stage| started_at(Keeping::Folder(state.clone()), &plugged, false, Renewal::default(), stage);
    let mut first = begin(Duration::from_secs(3600));
    let old = first.root().await;
    first.roots.borrow_and_update();
    let now = SystemTime::now();
    let kept = ca::state::change(&state, now, |kept| kept.begin(ca::Fresh::default(), now).map(Some));
    let [_, new] = kept.expect("a root").replacement.expect("it has begun").roots().map(str::to_owned);
    assert_eq!(signing(&mut first).await.root_bundle(), format!("{old}{new}"), "the old one signs");
    let moving = mover(&mut first).expect("a mover");
    let watched = Arc::clone(&moving);
    let stop = CancellationToken::new();
    let told = first.tasks.spawn({
        let stop = stop.clone();
        async move {
            moving.run(stop).await;
            Ok(())
        }
    });
    // The time of the stage is not over.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let page = watched.progress.page();
    let replacement = page.replacement.expect("it is under way");
    assert_eq!(replacement.stage, "distributing");
    assert!(replacement.waiting.is_some_and(|words| words.contains("it goes on in")));
    assert!(!first.roots.has_changed().expect("it goes on"));
    stop.cancel();
    told.abort();
    first.shutdown.cancel();

    let mut second = begin(Duration::ZERO);
    assert_eq!(second.root().await, format!("{old}{new}"));
    second.roots.borrow_and_update();
    let (moving, stop) = (mover(&mut second).expect("a mover"), second.shutdown.clone());
    second.tasks.spawn(async move {
        moving.run(stop).await;
        Ok(())
    });
    for bundle in [format!("{new}{old}"), new.clone()] {
        assert_eq!(signing(&mut second).await.root_bundle(), bundle);
        assert_eq!(second.trusted.borrow().as_deref(), Some(bundle.as_str()));
    }
    second.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_waits_for_proxies_to_connect_before_a_new_root_signs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, plugged) = (folder.path().join("state"), folder.path().join("cacerts"));
    let minute = Duration::from_secs(60);
    let begin = || started_at(Keeping::Folder(state.clone()), &plugged, false, Renewal::default(), minute);
    let mut first = begin();
    first.root().await;
    first.end().await;
    // The time of the stage has long been over.
    let past = SystemTime::now() - minute * 10;
    ca::state::change(&state, past, |kept| kept.begin(ca::Fresh::default(), past).map(Some)).expect("a root");
    let mut second = begin();
    second.root().await;
    second.roots.borrow_and_update();
    let (moving, stop) = (mover(&mut second).expect("a mover"), second.shutdown.clone());
    let (watched, began) = (Arc::clone(&moving), Instant::now());
    second.tasks.spawn(async move {
        moving.run(stop).await;
        Ok(())
    });
    tokio::time::sleep(minute / 2).await;
    let page = watched.progress.page().replacement.expect("it is under way");
    assert_eq!((page.stage.as_str(), page.proxies), ("distributing", Some(0)), "nobody is there, or not yet");
    assert!(page.waiting.is_some_and(|words| words.contains("it goes on in")));
    assert!(!second.roots.has_changed().expect("it goes on"));
    signing(&mut second).await;
    assert!(began.elapsed() >= minute, "{:?}", began.elapsed());
    second.shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn what_was_revoked_stays_so_when_files_come_without_lists() {
    let (root, files) = (made("a"), tempfile::tempdir().expect("a folder"));
    plug(files.path(), &root, root.cert_pem());
    let key = rcgen::KeyPair::generate().expect("a key");
    let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), key);
    let now = SystemTime::now();
    let list = rcgen::CertificateRevocationListParams {
        this_update: now.into(),
        next_update: (now + Duration::from_secs(3600)).into(),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&issuer).expect("a list").pem().expect("PEM");
    let mut started = started(Keeping::Memory, files.path());
    let mut revoked = started.root.revoked.clone();
    let first = revoked.wait_for(Option::is_some).await.expect("known").clone();
    assert_eq!(first.as_deref(), Some(""), "nothing is revoked");
    std::fs::write(files.path().join("ca-crl.pem"), &list).expect("a file");
    timeout(LONG, revoked.changed()).await.expect("in time").expect("a list");
    assert_eq!(revoked.borrow_and_update().as_deref(), Some(list.as_str()));
    started.roots.mark_unchanged();
    std::fs::write(files.path().join("ca-crl.pem"), "").expect("a file");
    signing(&mut started).await;
    assert_eq!(revoked.borrow().as_deref(), Some(list.as_str()), "it stays");
    started.end().await;
}

/// A proxy that is connected to a server.
async fn connected(server: &Server) -> Result<Connection> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let serving = server.clone();
    tokio::spawn(async move {
        if let Ok((stream, address)) = socket.accept().await {
            let peer = Peer { address: Some(address), identities: Vec::new() };
            serving.serve(stream, peer, None, axum::Router::new()).await;
        }
    });
    let connection = Connection::open(address, Variant::Sotw).await?;
    let id = "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local".to_owned();
    connection.send(&Request::Sotw(DiscoveryRequest {
        node: Some(Node { id, ..Node::default() }),
        type_url: ResourceType::Cluster.type_url().to_owned(),
        ..DiscoveryRequest::default()
    }));
    while server.clients().list().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(connection)
}

/// What `/debug/rootz` says of the spread of plugged-in roots, when this holds of it.
async fn spread(moving: &Mover, holds: impl Fn(&debug::RootSpread) -> bool) -> debug::RootSpread {
    let looking = async {
        loop {
            match moving.progress.page().spread {
                Some(spread) if holds(&spread) => return spread,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(LONG, looking).await.expect("in time")
}

#[tokio::test]
async fn a_plugged_in_root_that_signs_before_proxies_trust_it_is_told_until_they_do() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (made("a"), made("b"));
    let both = format!("{}{}", a.cert_pem(), b.cert_pem());
    plug(folder.path(), &a, a.cert_pem());
    let mut started = started_with(Keeping::Memory, folder.path(), true, Renewal::default());
    signing(&mut started).await;
    let (moving, (server, _engine)) = mover_at(&mut started)?;
    let _connection = connected(&server).await?;
    let (running, stop) = (Arc::clone(&moving), started.shutdown.clone());
    tokio::spawn(async move { running.run(stop).await });
    let quiet = spread(&moving, |_| true).await;
    assert_eq!((quiet.proxies, quiet.early), (None, None), "one root, and nothing is under way");
    // In one step what should be two.
    plug(folder.path(), &b, &both);
    signing(&mut started).await;
    let told = spread(&moving, |spread| spread.early.is_some()).await;
    assert_eq!((told.proxies, told.confirmed), (Some(1), Some(0)));
    assert!(moving.early().borrow()["signing certificate"].starts_with("1 of 1 connected proxies"));
    started.root.holders.given("spiffe://cluster.local/ns/shop/sa/web", Some("127.0.0.1".parse()?), &both);
    let told = spread(&moving, |spread| spread.early.is_none()).await;
    assert_eq!((told.proxies, told.confirmed), (Some(1), Some(1)));
    assert!(moving.early().borrow().is_empty());
    started.shutdown.cancel();
    Ok(())
}
