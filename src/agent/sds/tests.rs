//! The agent over a real Unix socket, with a clock that the test turns.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ca::SpiffeId;
use envoy::config::core::v3::{Node, data_source::Specifier};
use envoy::extensions::transport_sockets::tls::v3::{Secret, secret::Type};
use envoy::google::protobuf::{Any, Struct, Value, value::Kind};
use envoy::google::rpc;
use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse};
use envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use x509_parser::pem::parse_x509_pem;

use super::testing::{Plane, write};
use crate::{Agent, AgentError, Clock, Config, Grace, Issuer};

const LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct TestClock(watch::Sender<SystemTime>);

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(super::testing::now())))
    }

    fn turn(&self, by: Duration) {
        self.0.send_modify(|now| *now += by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.borrow()
    }

    fn sleep_until(&self, time: SystemTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut receiver = self.0.subscribe();
        Box::pin(async move {
            receiver.wait_for(|&now| now >= time).await.unwrap();
        })
    }
}

fn web() -> SpiffeId {
    SpiffeId::new("cluster.local", "shop", "web").unwrap()
}

fn config(dir: &tempfile::TempDir, issuer: Issuer) -> Config {
    Config {
        issuer,
        socket: dir.path().join("sds"),
        identity: web(),
        lifetime: LIFETIME,
        grace: Grace::default(),
        file_poll: Duration::from_millis(10),
    }
}

struct Running {
    dir: tempfile::TempDir,
    clock: Arc<TestClock>,
    plane: Plane,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), AgentError>>,
    client: SecretDiscoveryServiceClient<Channel>,
}

impl Running {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let plane = Plane::start(web(), clock.clone()).await;
        let config = config(&dir, plane.issuer(dir.path()));
        let agent = Agent::start_with_clock(config, clock.clone()).unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(agent.run(shutdown.clone()));
        let client = SecretDiscoveryServiceClient::new(connect(dir.path().join("sds")).await);
        Self { dir, clock, plane, shutdown, task, client }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn sotw(&self) -> Sotw {
        let (sender, receiver) = mpsc::channel(8);
        let mut client = self.client.clone();
        // The server's headers come at once; the requests may follow.
        let answers = client.stream_secrets(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Sotw { sender, answers }
    }
}

async fn connect(path: PathBuf) -> Channel {
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://sds").connect_with_connector(connector).await.unwrap()
}

struct Sotw {
    sender: mpsc::Sender<DiscoveryRequest>,
    answers: Streaming<DiscoveryResponse>,
}

impl Sotw {
    async fn ask(&self, names: &[&str], nonce: &str, error: Option<&str>) {
        let request = DiscoveryRequest {
            resource_names: names.iter().map(|&n| n.to_owned()).collect(),
            response_nonce: nonce.to_owned(),
            error_detail: error.map(|m| rpc::Status { message: m.to_owned(), ..Default::default() }),
            ..Default::default()
        };
        self.sender.send(request).await.unwrap();
    }

    async fn next(&mut self) -> DiscoveryResponse {
        self.answers.message().await.unwrap().unwrap()
    }
}

fn bytes(source: Option<envoy::config::core::v3::DataSource>) -> Vec<u8> {
    match source.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => bytes,
        other => panic!("not inline bytes: {other:?}"),
    }
}

/// Chain and key of a certificate secret.
fn pair(any: &Any) -> (Vec<u8>, Vec<u8>) {
    match envoy::unpack_any::<Secret>(any).unwrap().r#type.unwrap() {
        Type::TlsCertificate(c) => (bytes(c.certificate_chain), bytes(c.private_key)),
        _ => panic!("not a certificate"),
    }
}

fn roots(any: &Any) -> Vec<u8> {
    match envoy::unpack_any::<Secret>(any).unwrap().r#type.unwrap() {
        Type::ValidationContext(context) => bytes(context.trusted_ca),
        _ => panic!("not a validation context"),
    }
}

fn assert_signed(chain: &[u8], root: &[u8]) {
    let (_, leaf) = parse_x509_pem(chain).unwrap();
    let (_, root) = parse_x509_pem(root).unwrap();
    let (leaf, root) = (leaf.parse_x509().unwrap(), root.parse_x509().unwrap());
    leaf.verify_signature(Some(root.public_key())).unwrap();
    root.verify_signature(None).unwrap();
    let san = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(format!("{}", san.general_names[0]), "URI(spiffe://cluster.local/ns/shop/sa/web)");
}

/// A certificate of a workload of its own root, as files.
fn write_pair(dir: &Path, chain: &Path, key: &Path) -> Vec<u8> {
    let now = SystemTime::now();
    let root = ca::state::load_or_create(dir, "files.example", now).unwrap();
    let private = ca::PrivateKey::generate().unwrap();
    let identity = SpiffeId::new("files.example", "a", "b").unwrap();
    let request = ca::Request { public_key: private.public_key().unwrap(), identity, lifetime: LIFETIME };
    let signed = root.sign(&request, now).unwrap();
    std::fs::write(chain, &signed.chain_pem).unwrap();
    std::fs::write(key, private.expose_pem().as_bytes()).unwrap();
    signed.chain_pem.into_bytes()
}

#[tokio::test]
async fn sotw_serves_a_chain_that_verifies_and_pushes_the_renewed_one() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["default", "ROOTCA"], "", None).await;
    let first = stream.next().await;
    let (root, (chain, key)) = (roots(&first.resources[0]), pair(&first.resources[1]));
    assert_signed(&chain, &root);
    ca::check_key_pair(&chain, &key).unwrap();

    stream.ask(&["default", "ROOTCA"], &first.nonce, None).await;
    running.clock.turn(LIFETIME * 52 / 100);
    let second = stream.next().await;
    let (new_root, (new_chain, new_key)) = (roots(&second.resources[0]), pair(&second.resources[1]));
    assert_eq!(new_root, root);
    assert_ne!((&new_chain, &new_key), (&chain, &key));
    assert_signed(&new_chain, &new_root);
    assert_ne!(second.version_info, first.version_info);

    running.clock.turn(LIFETIME * 52 / 100);
    assert_ne!(pair(&stream.next().await.resources[1]).0, new_chain);
}

#[tokio::test]
async fn the_last_certificate_stays_while_the_control_plane_is_away() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["default"], "", None).await;
    let first = stream.next().await;
    running.plane.fail(true);
    running.clock.turn(LIFETIME * 52 / 100);
    // The first was for the certificate that is there.
    running.plane.asked(2).await;
    let mut late = running.sotw().await;
    late.ask(&["default"], "", None).await;
    assert_eq!(late.next().await.resources, first.resources, "it is served still");
    running.plane.fail(false);
    let second = tokio::select! {
        second = stream.next() => second,
        () = tick(&running.clock) => unreachable!(),
    };
    assert_ne!(second.version_info, first.version_info);
}

/// Turns the clock on and on.
async fn tick(clock: &TestClock) {
    loop {
        clock.turn(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn proxies_wait_for_the_first_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let plane = Plane::start(web(), clock.clone()).await;
    let issuer = plane.issuer(dir.path());
    let roots = std::fs::read_to_string(&issuer.roots).unwrap();
    // Not those of the control plane.
    let stranger = ca::Root::generate("cluster.local", clock.now()).unwrap();
    write(&issuer.roots, stranger.cert_pem());
    let agent = Agent::start_with_clock(config(&dir, issuer.clone()), clock.clone()).unwrap();
    tokio::spawn(agent.run(CancellationToken::new()));
    let mut client = SecretDiscoveryServiceClient::new(connect(dir.path().join("sds")).await);
    let (sender, receiver) = mpsc::channel(8);
    let answers = client.stream_secrets(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut stream = Sotw { sender, answers };
    stream.ask(&["default", "ROOTCA"], "", None).await;
    write(&issuer.roots, &roots);
    let first = tokio::select! {
        first = stream.next() => first,
        () = tick(&clock) => unreachable!(),
    };
    assert_signed(&pair(&first.resources[1]).0, roots.as_bytes());
    assert_eq!(plane.asked(1).await, ["Bearer first"], "who is not known is shown no token");
}

#[tokio::test]
async fn a_replaced_root_reaches_open_streams_with_the_next_certificate() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["default", "ROOTCA"], "", None).await;
    let first = stream.next().await;
    running.plane.replace_root();
    running.clock.turn(LIFETIME * 52 / 100);
    let second = stream.next().await;
    assert_ne!(roots(&second.resources[0]), roots(&first.resources[0]));
    assert_signed(&pair(&second.resources[1]).0, &roots(&second.resources[0]));
}

#[tokio::test]
async fn roots_that_are_given_anew_lead_to_a_new_certificate_with_the_token_of_then() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["default", "ROOTCA"], "", None).await;
    let first = stream.next().await;
    let given = running.plane.root().cert_pem().to_owned();
    running.plane.replace_root();
    write(&running.path("token"), "second");
    write(&running.path("roots.pem"), &(given + running.plane.root().cert_pem()));
    let second = stream.next().await;
    assert_ne!(roots(&second.resources[0]), roots(&first.resources[0]));
    assert_signed(&pair(&second.resources[1]).0, running.plane.root().cert_pem().as_bytes());
    assert_eq!(running.plane.asked(2).await, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_not_served() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["default"], "", None).await;
    let first = stream.next().await;
    running.plane.certify(SpiffeId::new("cluster.local", "shop", "other").unwrap());
    running.clock.turn(LIFETIME * 52 / 100);
    running.plane.asked(2).await;
    running.plane.certify(web());
    let second = tokio::select! {
        second = stream.next() => second,
        () = tick(&running.clock) => unreachable!(),
    };
    assert_ne!(second.version_info, first.version_info);
    assert_signed(&pair(&second.resources[0]).0, running.plane.root().cert_pem().as_bytes());
}

#[tokio::test]
async fn a_refusal_is_not_answered_with_the_same() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["default"], "", None).await;
    let first = stream.next().await;
    stream.ask(&["default"], &first.nonce, Some("Failed to load private key from <inline>")).await;
    stream.ask(&["default", "ROOTCA"], &first.nonce, None).await;
    let second = stream.next().await;
    assert_eq!(
        (second.nonce.as_str(), second.resources.len()),
        ("2", 2),
        "the refusal made no response of its own"
    );
}

#[tokio::test]
async fn delta_serves_and_pushes_only_what_changed() {
    let running = Running::start().await;
    let (sender, receiver) = mpsc::channel(8);
    let answers = running.client.clone().delta_secrets(ReceiverStream::new(receiver)).await;
    let mut answers = answers.unwrap().into_inner();
    let subscribe = DeltaDiscoveryRequest {
        resource_names_subscribe: vec!["default".to_owned(), "ROOTCA".to_owned()],
        ..Default::default()
    };
    sender.send(subscribe).await.unwrap();
    let first = answers.message().await.unwrap().unwrap();
    let body = |i: usize| first.resources[i].resource.as_ref().unwrap();
    assert_signed(&pair(body(1)).0, &roots(body(0)));

    let nack = DeltaDiscoveryRequest {
        response_nonce: first.nonce.clone(),
        error_detail: Some(rpc::Status { message: "no".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    sender.send(nack).await.unwrap();
    running.clock.turn(LIFETIME * 52 / 100);
    let second = answers.message().await.unwrap().unwrap();
    let names: Vec<_> = second.resources.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["default"]);
    assert_ne!(second.resources[0].version, first.resources[1].version);
}

#[tokio::test]
async fn fetch_answers_once_or_says_what_is_missing() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["ROOTCA"], "", None).await;
    stream.next().await;
    let mut client = running.client.clone();
    let request = |names: &[&str]| DiscoveryRequest {
        resource_names: names.iter().map(|&n| n.to_owned()).collect(),
        ..Default::default()
    };
    let response = client.fetch_secrets(request(&["ROOTCA"])).await.unwrap().into_inner();
    assert_eq!(response.resources.len(), 1);
    let missing = client.fetch_secrets(request(&["ROOTCA", "kubernetes://x"])).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert!(missing.message().contains("kubernetes://x"));
}

#[tokio::test]
async fn file_secrets_come_when_they_are_whole_and_again_when_they_change() {
    let running = Running::start().await;
    let (chain, key, files) = (running.path("c.pem"), running.path("k.pem"), running.path("files"));
    let cert_name = format!("file-cert:{}~{}", chain.display(), key.display());
    let root_name = format!("file-root:{}", files.join(ca::state::CERT_FILE).display());
    let mut stream = running.sotw().await;
    stream.ask(&["ROOTCA", &cert_name, &root_name], "", None).await;
    assert_eq!(stream.next().await.resources.len(), 1, "the files do not exist yet");

    let first = write_pair(&files, &chain, &key);
    let mut response = stream.next().await;
    while response.resources.len() < 3 {
        response = stream.next().await;
    }
    assert_eq!(pair(&response.resources[1]).0, first);
    let (_, leaf) = parse_x509_pem(&first).unwrap();
    let root = roots(&response.resources[2]);
    let (_, root) = parse_x509_pem(&root).unwrap();
    leaf.parse_x509().unwrap().verify_signature(Some(root.parse_x509().unwrap().public_key())).unwrap();

    let second = write_pair(&files, &chain, &key);
    let (sent_chain, sent_key) = pair(&stream.next().await.resources[1]);
    assert_eq!(sent_chain, second);
    ca::check_key_pair(&sent_chain, &sent_key).unwrap();
}

#[tokio::test]
async fn a_proxy_of_another_identity_is_turned_away() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    let field = Value { kind: Some(Kind::StringValue("bank".to_owned())) };
    let metadata = Struct { fields: [("NAMESPACE".to_owned(), field)].into() };
    let node = Node { id: "n".to_owned(), metadata: Some(metadata), ..Default::default() };
    let request =
        DiscoveryRequest { node: Some(node), resource_names: vec!["default".into()], ..Default::default() };
    stream.sender.send(request).await.unwrap();
    let status = stream.answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("NAMESPACE is \"bank\""), "{}", status.message());

    let other = running.sotw().await;
    let request = DiscoveryRequest { type_url: "type.googleapis.com/x".to_owned(), ..Default::default() };
    other.sender.send(request).await.unwrap();
    let Sotw { mut answers, sender: _sender } = other;
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_end_closes_streams_and_removes_the_socket() {
    let running = Running::start().await;
    let mut stream = running.sotw().await;
    stream.ask(&["ROOTCA"], "", None).await;
    stream.next().await;
    running.shutdown.cancel();
    assert!(stream.answers.message().await.unwrap().is_none());
    let (task, socket) = (running.task, running.dir.path().join("sds"));
    drop((stream, running.client));
    task.await.unwrap().unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_second_agent_on_the_socket_is_refused() {
    let running = Running::start().await;
    let config = config(&running.dir, running.plane.issuer(running.dir.path()));
    let error = Agent::start_with_clock(config, running.clock.clone()).unwrap_err().to_string();
    assert!(error.contains("another agent serves on the socket"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_make_keeps_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::new();
    let plane = Plane::start(web(), clock.clone()).await;
    let config = config(&dir, plane.issuer(dir.path()));
    let path = config.socket.clone();
    let foreign = tokio::net::UnixListener::bind(&path).unwrap();
    let agent = Agent::start_with_clock(config, clock).unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(agent.run(shutdown.clone()));
    // Whoever asks, asks the other one.
    let (asked, _) = tokio::join!(UnixStream::connect(&path), foreign.accept());
    asked.unwrap();
    shutdown.cancel();
    task.await.unwrap().unwrap();
    assert!(path.exists());
    assert!(plane.asked(0).await.is_empty(), "no certificate is asked for");
}
