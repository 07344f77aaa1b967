//! The source against an API server in memory.

use std::time::{Duration, Instant};

use api::decode::AnyObject;
use kube::Config;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::DropGuard;

use super::*;
use crate::kube::client;
use testkit::kubernetes::{DEFINITIONS, FakeServer};

const SERVICES: &str = "/api/v1/services";
const CONFIG_MAPS: &str = "/api/v1/configmaps";
const RULES: &str = "/apis/networking.istio.io/v1/virtualservices";
const RULES_DEFINED: &str = "virtualservices.networking.istio.io";

/// A source that reads services, one ConfigMap and VirtualServices.
struct Follows {
    batches: mpsc::Receiver<Batch>,
    health: Health,
    wanted: watch::Sender<ConfigMaps>,
    _shutdown: DropGuard,
}

impl Follows {
    fn start(server: &FakeServer) -> Self {
        let uri = format!("http://{}", server.address).parse().expect("a URI");
        let client = client::client(Config::new(uri)).expect("a client");
        let (wanted, named) = watch::channel(ConfigMaps::new());
        let options = Options {
            kinds: vec![Kind::Service, Kind::ConfigMap, Kind::VirtualService],
            config_maps: vec![("istio-system".into(), "istio".into())],
            wanted: named,
        };
        let (sender, batches) = mpsc::channel(8);
        let (health, shutdown) = (Health::new("home"), CancellationToken::new());
        let told = (health.clone(), shutdown.clone());
        let connection = Connection::new(client, told.0);
        tokio::spawn(async move { watch(connection, options, sender, told.1).await.expect("no fault") });
        Self { batches, health, wanted, _shutdown: shutdown.drop_guard() }
    }

    async fn next(&mut self) -> Batch {
        timeout(Duration::from_secs(10), self.batches.recv())
            .await
            .expect("a batch in time")
            .expect("a batch")
    }

    /// The next batch as `+name` and `-name`.
    async fn changes(&mut self) -> Vec<String> {
        changes(&self.next().await)
    }
}

/// The events of a batch: objects that came (`+`), of which no more than the metadata is known (`?`), that are gone (`-`).
fn changes(batch: &Batch) -> Vec<String> {
    let sign = |event: &crate::event::Event| match event.object.as_deref() {
        Some(AnyObject::NotServed(..)) => '?',
        Some(_) => '+',
        None => '-',
    };
    batch.events.iter().map(|event| format!("{}{}", sign(event), event.key.name)).collect()
}

async fn server() -> FakeServer {
    FakeServer::start(&[SERVICES, CONFIG_MAPS, RULES, DEFINITIONS]).await
}

fn service(name: &str, port: u32) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [{"port": port}]}})
}

fn rule(name: &str, timeout: &str) -> Value {
    let route = json!({"route": [{"destination": {"host": "a"}}], "timeout": timeout});
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"hosts": ["a"], "http": [route]}})
}

/// Waits until `condition` holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_first_batch_is_complete_and_holds_all_pages() {
    let server = server().await;
    for number in 0..501 {
        server.put(SERVICES, service(&format!("s{number:03}"), 80));
    }
    server.put(CONFIG_MAPS, json!({"metadata": {"name": "istio", "namespace": "istio-system"}}));
    server.put(CONFIG_MAPS, json!({"metadata": {"name": "other", "namespace": "istio-system"}}));
    server.put(CONFIG_MAPS, json!({"metadata": {"name": "istio", "namespace": "shop"}}));
    server.put(RULES, rule("r", "1s"));
    server.define(RULES_DEFINED);
    let mut source = Follows::start(&server);
    let first = source.next().await;
    assert!(first.complete);
    let counted = |kind| first.events.iter().filter(|event| event.key.kind == kind).count();
    let counts = [Kind::Service, Kind::ConfigMap, Kind::VirtualService].map(counted);
    assert_eq!(counts, [501, 1, 1]);
    assert_eq!((server.asked(SERVICES, "limit"), server.asked(SERVICES, "continue")), (2, 1));
    until("watches", || [SERVICES, CONFIG_MAPS, RULES].iter().all(|p| server.asked(p, "watch") == 1)).await;
    assert!(source.health.lines().is_empty(), "{:?}", source.health.lines());
}

#[tokio::test]
async fn config_maps_are_followed_while_others_name_them() {
    let server = server().await;
    server.put(SERVICES, service("a", 80));
    for name in ["roots", "other"] {
        server.put(
            CONFIG_MAPS,
            json!({"metadata": {"name": name, "namespace": "shop"}, "data": {"ca.crt": "x"}}),
        );
    }
    let mut source = Follows::start(&server);
    assert_eq!(source.changes().await, ["+a"]);
    source.wanted.send_replace(ConfigMaps::from([("shop".into(), "roots".into())]));
    assert_eq!(source.changes().await, ["+roots"]);
    source.wanted.send_replace(ConfigMaps::new());
    assert_eq!(source.changes().await, ["-roots"]);
    assert!(source.health.lines().is_empty(), "{:?}", source.health.lines());
}

#[tokio::test]
async fn an_object_that_says_the_same_makes_no_event() {
    let server = server().await;
    server.put(SERVICES, service("a", 80));
    let mut source = Follows::start(&server);
    assert_eq!(source.changes().await, ["+a"]);
    let mut same = service("a", 80);
    same["metadata"]["managedFields"] = json!([{"manager": "m"}]);
    server.put(SERVICES, same);
    server.put(SERVICES, service("b", 80));
    assert_eq!(source.changes().await, ["+b"]);
    server.put(SERVICES, service("a", 81));
    assert_eq!(source.changes().await, ["+a"]);
    server.delete(SERVICES, "shop", "b");
    assert_eq!(source.changes().await, ["-b"]);
}

#[tokio::test]
async fn a_list_that_has_to_be_repeated_is_one_batch_of_what_differs() {
    let server = server().await;
    for name in ["changed", "deleted", "same"] {
        server.put(SERVICES, service(name, 80));
    }
    let mut source = Follows::start(&server);
    assert_eq!(source.changes().await.len(), 3);
    until("the watch", || server.asked(SERVICES, "watch") == 1).await;
    server.fall_silent();
    server.put(SERVICES, service("changed", 81));
    server.put(SERVICES, service("new", 80));
    server.delete(SERVICES, "shop", "deleted");
    server.forget();
    server.end_watches();
    assert_eq!(source.changes().await, ["+changed", "-deleted", "+new"]);
    assert_eq!(server.asked(SERVICES, "limit"), 2);
    assert!(source.health.lines().is_empty(), "{:?}", source.health.lines());
}

#[tokio::test]
async fn a_watch_goes_on_from_the_last_bookmark() {
    let server = server().await;
    let mut source = Follows::start(&server);
    assert!(source.next().await.complete);
    until("the watch", || server.asked(SERVICES, "watch") == 1).await;
    // Versions move by other kinds' objects; without the bookmark the watch would begin where all is forgotten.
    server.put(RULES, rule("r", "1s"));
    server.bookmark(SERVICES);
    server.forget();
    server.end_watches();
    server.put(SERVICES, service("later", 80));
    assert_eq!(source.changes().await, ["+later"]);
    assert_eq!(server.asked(SERVICES, "limit"), 1);
}

#[tokio::test]
async fn what_a_watch_said_unreadably_is_found_by_a_list() {
    let server = server().await;
    let mut source = Follows::start(&server);
    assert!(source.next().await.complete);
    until("the watch", || server.asked(SERVICES, "watch") == 1).await;
    server.garble(SERVICES);
    until("another list", || server.asked(SERVICES, "limit") == 2).await;
    server.put(SERVICES, service("a", 80));
    assert_eq!(source.changes().await, ["+a"]);
}

#[tokio::test]
async fn an_object_that_does_not_decode_is_reported_and_left_out() {
    let server = server().await;
    server.define(RULES_DEFINED);
    server.put(RULES, rule("bad", "soon"));
    server.put(RULES, rule("good", "1s"));
    let mut source = Follows::start(&server);
    let first = source.next().await;
    assert_eq!(changes(&first), ["?bad", "+good"]);
    let [report] = &first.appeared[..] else { panic!("{:?}", first.appeared) };
    assert!(
        report
            .to_string()
            .starts_with("error: cluster home: VirtualService/shop/bad: spec.http[0].timeout: "),
        "{report}"
    );
    server.put(RULES, rule("bad", "2s"));
    let mended = source.next().await;
    assert_eq!((changes(&mended), mended.cleared.len()), (vec!["+bad".to_owned()], 1));
    server.put(RULES, rule("good", "later"));
    let broken = source.next().await;
    assert_eq!((changes(&broken), broken.appeared.len()), (vec!["?good".to_owned()], 1));
    server.delete(RULES, "shop", "good");
    let gone = source.next().await;
    assert_eq!((changes(&gone), gone.cleared.len()), (vec!["-good".to_owned()], 1));
}

#[tokio::test]
async fn a_kind_comes_and_goes_with_its_definition() {
    let server = FakeServer::start(&[SERVICES, CONFIG_MAPS, DEFINITIONS]).await;
    let mut source = Follows::start(&server);
    assert!(source.next().await.complete);
    assert_eq!(server.asked(RULES, ""), 0);
    server.add_list(RULES);
    server.put(RULES, rule("r", "1s"));
    server.define(RULES_DEFINED);
    assert_eq!(source.changes().await, ["+r"]);
    server.remove_list(RULES);
    server.delete(DEFINITIONS, "", RULES_DEFINED);
    assert_eq!(source.changes().await, ["-r"]);
    let asked = server.asked(RULES, "");
    server.put(SERVICES, service("a", 80));
    assert_eq!(source.changes().await, ["+a"]);
    assert_eq!(server.asked(RULES, ""), asked);
    server.add_list(RULES);
    server.put(RULES, rule("again", "1s"));
    server.define(RULES_DEFINED);
    assert_eq!(source.changes().await, ["+again"]);
}

#[tokio::test]
async fn a_definition_that_is_not_served_yet_holds_nothing_up() {
    let server = FakeServer::start(&[SERVICES, CONFIG_MAPS, DEFINITIONS]).await;
    server.define(RULES_DEFINED);
    let mut source = Follows::start(&server);
    assert!(source.next().await.complete);
    server.add_list(RULES);
    server.put(RULES, rule("r", "1s"));
    server.define(RULES_DEFINED);
    assert_eq!(source.changes().await, ["+r"]);
    assert_eq!(server.asked(RULES, "limit"), 2);
}

#[tokio::test]
async fn a_server_that_was_away_is_caught_up_with() {
    let mut server = server().await;
    server.define(RULES_DEFINED);
    server.put(SERVICES, service("a", 80));
    let mut source = Follows::start(&server);
    assert_eq!(source.changes().await, ["+a"]);
    server.stop().await;
    until("the loss to be told", || !source.health.reachable()).await;
    assert!(source.health.lines()[0].contains("cannot be reached"), "{:?}", source.health.lines());
    let asked = server.asked(SERVICES, "");
    server.put(SERVICES, service("b", 80));
    server.put(RULES, rule("r", "1s"));
    server.start_again().await;
    let back = Instant::now();
    let mut changes = source.changes().await;
    if changes.len() < 2 {
        changes.extend(source.changes().await);
    }
    changes.sort();
    assert_eq!(changes, ["+b", "+r"]);
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    assert!(server.asked(SERVICES, "") <= asked + 2);
    // Kinds of which nothing changed may be a moment behind.
    until("all kinds to be followed again", || source.health.reachable()).await;
}
