//! Which pods are asked, what their answers make, and what is said of those that do not answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::SystemTime;

use api::{Kind, ObjectKey};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use ca::{Authority, Root};
use model::Ref;
use model::endpoint::Workload;
use model::mesh::Pod;
use prometheus::TextEncoder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use xds::spread::Spread;

use super::ask::Failure;
use super::*;

const OWN: &str = "istiod-a";

fn own(port: u16) -> Replica {
    Replica { namespace: "istio-system".to_owned(), name: OWN.to_owned(), port: Some(port) }
}

fn pod(name: &str, address: &str, labels: &[(&str, &str)]) -> Ref<Pod> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ref::new(Pod {
        name: name.into(),
        namespace: "istio-system".into(),
        addresses: Some(address).filter(|address| !address.is_empty()).map(Arc::from).into_iter().collect(),
        ports: Vec::new(),
        ready: false,
        finished: false,
        workload: Ref::new(Workload { labels, ..Workload::default() }),
    })
}

/// One whose containers have ended; it keeps its address.
fn finished(name: &str, address: &str) -> Ref<Pod> {
    Ref::new(Pod { finished: true, ..(*pod(name, address, &LABELS)).clone() })
}

fn mesh(namespace: &str, pods: Vec<Ref<Pod>>) -> Mesh {
    let mut mesh = Mesh::default();
    let pods: BTreeMap<_, _> = pods.into_iter().map(|pod| (Arc::clone(&pod.name), pod)).collect();
    Arc::make_mut(&mut mesh.workloads).pods.insert(namespace.into(), Arc::new(pods));
    mesh
}

const LABELS: [(&str, &str); 2] = [("app", "istiod"), ("istio.io/rev", "default")];

#[test]
fn the_others_are_the_pods_that_bear_the_same_labels() {
    let pods = vec![
        pod(OWN, "10.0.0.1", &LABELS),
        pod("istiod-b", "10.0.0.2", &[LABELS[0], LABELS[1], ("pod-template-hash", "1")]),
        pod("istiod-c", "fd00::3", &LABELS),
        pod("istiod-new", "", &LABELS),
        pod("istiod-canary", "10.0.0.4", &[LABELS[0], ("istio.io/rev", "canary")]),
        pod("istiod-bare", "10.0.0.5", &[LABELS[0]]),
        pod("gateway", "10.0.0.6", &[("app", "gateway"), LABELS[1]]),
        finished("istiod-evicted", "10.0.0.7"),
    ];
    let mesh = mesh("istio-system", pods);
    let found = others(&mesh, &own(15014)).expect("the own pod");
    let shown: Vec<String> = found.iter().map(|peer| format!("{} {}", peer.name, peer.address)).collect();
    assert_eq!(shown, ["istiod-b 10.0.0.2:15014", "istiod-c [fd00::3]:15014"]);
    let all = of_all_revisions(&mesh, &own(15014)).expect("the own pod");
    let names: Vec<&str> = all.iter().map(|peer| &*peer.name).collect();
    assert_eq!(names, ["istiod-b", "istiod-bare", "istiod-c", "istiod-canary"]);
}

#[test]
fn without_a_pod_of_its_own_that_says_its_workload_nothing_tells_which_are_the_others() {
    let other = || pod("b", "10.0.0.2", &LABELS);
    for (namespace, own_labels) in [("elsewhere", &LABELS[..]), ("istio-system", &LABELS[1..])] {
        let mesh = mesh(namespace, vec![pod(OWN, "10.0.0.1", own_labels), other()]);
        assert_eq!(others(&mesh, &own(15014)), None);
    }
    assert_eq!(others(&mesh("istio-system", vec![other()]), &own(15014)), None);
    let bare = [("app", "istiod")];
    let pods = [(OWN, "10.0.0.1"), ("c", "10.0.0.3")].map(|(name, address)| pod(name, address, &bare));
    let mesh = mesh("istio-system", pods.into_iter().chain([other()]).collect());
    assert_eq!(others(&mesh, &own(15014)).map(|found| found.len()), Some(1), "no revision is one too");
}

#[test]
fn the_port_is_that_of_the_own_pages() {
    let ports = [":15014", "10.0.0.1:15014", "[::]:8080", ":0", "", "15014"].map(port);
    assert_eq!(ports, [Some(15014), Some(15014), Some(8080), None, None, None]);
}

fn counts(name: &str, needed: usize) -> BTreeMap<ObjectKey, Spread> {
    let key = ObjectKey { kind: Kind::VirtualService, namespace: "shop".into(), name: name.into() };
    [(key, Spread { generation: 1, needed, accepted: needed, ..Spread::default() })].into()
}

fn failure(ended: bool) -> Failure {
    Failure { ended, text: "away".to_owned() }
}

fn some_peer() -> Peer {
    Peer { name: "b".into(), address: SocketAddr::from(([10, 0, 0, 2], 15014)) }
}

fn told(ledger: &Ledger) -> Vec<usize> {
    ledger.spreads().flat_map(|spreads| spreads.values().map(|spread| spread.needed)).collect()
}

#[test]
fn a_silent_replica_counts_for_ten_seconds_and_is_named_once() {
    let (mut ledger, peer, start) = (Ledger::default(), some_peer(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let known = Known::from([peer.clone()]);
    ledger.keep(&known, start);
    assert!(!ledger.settled());
    assert_eq!(ledger.to_ask(false), std::slice::from_ref(&peer));
    assert!(!ledger.answered(&peer, counts("a", 3), start));
    assert!(ledger.settled() && ledger.to_ask(false).is_empty());
    assert_eq!(ledger.to_ask(true), std::slice::from_ref(&peer));

    ledger.failed(&peer, failure(false));
    assert_eq!(ledger.leave_out(at(9), PATIENCE), []);
    assert_eq!((told(&ledger), ledger.left_out()), (vec![3], 0));
    assert_eq!(ledger.leave_out(at(10), PATIENCE), [(peer.clone(), "away".to_owned())]);
    assert_eq!((told(&ledger), ledger.left_out()), (vec![], 1));
    ledger.failed(&peer, failure(false));
    assert_eq!(ledger.leave_out(at(30), PATIENCE), []);

    assert!(ledger.answered(&peer, counts("a", 4), at(31)), "it was left out");
    assert_eq!((told(&ledger), ledger.left_out()), (vec![4], 0));
    assert!(!ledger.answered(&peer, counts("a", 4), at(33)));
    // One that answers seldom, because it is asked seldom, is not silent.
    assert_eq!(ledger.leave_out(at(90), PATIENCE), []);
    ledger.keep(&Known::new(), at(91));
    assert!(told(&ledger).is_empty() && ledger.is_empty());
}

#[test]
fn the_proxies_of_a_process_that_has_ended_are_gone_with_it() {
    let (mut ledger, peer, start) = (Ledger::default(), some_peer(), Instant::now());
    ledger.keep(&Known::from([peer.clone()]), start);
    ledger.answered(&peer, counts("a", 3), start);
    ledger.failed(&peer, failure(true));
    assert_eq!((told(&ledger), ledger.left_out()), (vec![], 0));
    // Its container may be back in a moment: nothing is said of that.
    assert!(!ledger.answered(&peer, counts("a", 1), start + Duration::from_secs(5)));
    assert_eq!(told(&ledger), [1]);
}

#[test]
fn an_answer_that_is_the_same_stays_the_same_allocation() {
    let (mut ledger, peer, start) = (Ledger::default(), some_peer(), Instant::now());
    ledger.keep(&Known::from([peer.clone()]), start);
    ledger.answered(&peer, counts("a", 3), start);
    let first: Vec<Spreads> = ledger.spreads().cloned().collect();
    ledger.answered(&peer, counts("a", 3), start);
    assert!(ledger.spreads().zip(&first).all(|(now, then)| Arc::ptr_eq(now, then)) && first.len() == 1);
}

/// A replica that lets in whoever proves that it has a root key.
struct Other {
    address: SocketAddr,
    needed: Arc<Mutex<usize>>,
    serving: JoinHandle<std::io::Result<()>>,
}

async fn other(proofs: Proofs) -> Other {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let needed = Arc::new(Mutex::new(3));
    let told = Arc::clone(&needed);
    let page = move |headers: HeaderMap| async move {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !bearer.strip_prefix("Bearer ").is_some_and(|proof| proofs.admits(proof, SPREADZ)) {
            return (StatusCode::UNAUTHORIZED, String::new());
        }
        let needed = *told.lock().expect("no panic");
        let row = format!(
            "[{{\"group\":\"networking.istio.io\",\"kind\":\"VirtualService\",\"namespace\":\"shop\",\"name\":\"a\",\
             \"generation\":1,\"needed\":{needed},\"accepted\":{needed},\"refused\":0}}]"
        );
        (StatusCode::OK, row)
    };
    let address = listener.local_addr().expect("an address");
    let pages = Router::new().route("/debug/spreadz", get(page));
    let serving = tokio::spawn(async move { axum::serve(listener, pages).await });
    Other { address, needed, serving }
}

fn roots(known: bool) -> (watch::Sender<Option<Arc<Authority>>>, Proofs) {
    let root = || {
        let root = Root::generate("cluster.local", SystemTime::now()).expect("a root");
        Arc::new(Authority::self_signed(root, None).expect("an authority"))
    };
    let (sender, roots) = watch::channel(known.then(root));
    (sender, Proofs::new(roots))
}

/// The other replicas, of which there is one at this address.
fn peers(address: SocketAddr, proofs: Proofs, registry: &Registry) -> Peers {
    let pods = vec![pod(OWN, "10.0.0.1", &LABELS), pod("b", &address.ip().to_string(), &LABELS)];
    let mesh = Arc::new(ArcSwap::from_pointee(mesh("istio-system", pods)));
    Peers::new(own(address.port()), mesh, proofs, registry).expect("metrics")
}

/// Waits for the answers to all questions that are under way.
async fn answers(peers: &mut Peers, now: Instant) {
    while let Some(done) = peers.asking.join_next().await {
        let (peer, answer) = done.expect("no panic");
        peers.take(&peer, answer, now);
    }
}

/// Asks once more, and takes the answers in.
async fn round(peers: &mut Peers, now: Instant) -> Vec<usize> {
    answers(peers, now).await;
    peers.look(true, now);
    answers(peers, now).await;
    told(&peers.ledger)
}

#[tokio::test]
async fn a_replica_that_has_the_root_is_answered_and_its_counts_follow() {
    let (registry, now) = (Registry::new(), Instant::now());
    let (_sender, proofs) = roots(true);
    let other = other(proofs.clone()).await;
    let mut peers = peers(other.address, proofs, &registry);
    peers.look(false, now);
    assert!(!peers.settled(now), "one is not asked yet");
    assert_eq!(round(&mut peers, now).await, [3]);
    assert!(peers.settled(now));
    *other.needed.lock().expect("no panic") = 5;
    assert_eq!(round(&mut peers, now).await, [5]);

    other.serving.abort();
    other.serving.await.expect_err("it was ended");
    assert_eq!(round(&mut peers, now).await, Vec::<usize>::new(), "nobody listens there");
    round(&mut peers, now + PATIENCE).await;
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    for line in [
        "pilothouse_peer_counts_failed_total 2",
        "pilothouse_peers{state=\"counted\"} 0",
        "pilothouse_peers{state=\"left_out\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    peers.forget();
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    assert!(text.contains("pilothouse_peers{state=\"left_out\"} 0"), "{text}");
}

#[tokio::test]
async fn a_replica_of_another_root_is_not_answered() {
    let (_theirs, their_proofs) = roots(true);
    let (_ours, our_proofs) = roots(true);
    let other = other(their_proofs).await;
    let mut peers = peers(other.address, our_proofs, &Registry::new());
    let now = Instant::now();
    assert_eq!(round(&mut peers, now).await, Vec::<usize>::new());
    assert!(peers.settled(now));
    let left_out = peers.ledger.leave_out(now + PATIENCE, PATIENCE);
    assert!(left_out.iter().all(|(_, failure)| failure.contains("another root")), "{left_out:?}");
    assert_eq!(left_out.len(), 1);
}

#[tokio::test]
async fn without_a_root_nobody_is_asked_or_let_in_and_others_are_not_waited_for_for_ever() {
    let (sender, proofs) = roots(false);
    let (_other_sender, others_proofs) = roots(true);
    assert!(!proofs.admits(&others_proofs.make(SPREADZ).expect("a proof"), SPREADZ));
    let other = other(others_proofs).await;
    let (mut peers, now) = (peers(other.address, proofs.clone(), &Registry::new()), Instant::now());
    peers.look(true, now);
    assert!(peers.asking.is_empty() && !peers.settled(now), "it may come yet");
    peers.look(true, now + PATIENCE);
    assert!(peers.asking.is_empty() && peers.settled(now + PATIENCE));

    let root = Root::generate("cluster.local", SystemTime::now()).expect("a root");
    sender.send_replace(Some(Arc::new(Authority::self_signed(root, None).expect("an authority"))));
    assert!(proofs.admits(&proofs.make(SPREADZ).expect("a proof"), SPREADZ));
    peers.look(true, now + PATIENCE);
    assert!(!peers.asking.is_empty());
}
