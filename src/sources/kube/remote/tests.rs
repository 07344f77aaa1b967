//! Other clusters against API servers in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use k8s_openapi::ByteString;
use kube::Config;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use testkit::kubernetes::FakeServer;

use super::*;
use crate::kube::{Health, client};

const SECRETS: &str = "/api/v1/secrets";
const SERVICES: &str = "/api/v1/services";
const LONG: Duration = Duration::from_secs(60);

/// What follows the clusters of a home cluster.
struct Follows {
    batches: mpsc::Receiver<Batch>,
    status: Remotes,
    _shutdown: DropGuard,
}

impl Follows {
    fn start(home: &FakeServer, timeout: Duration) -> Self {
        let uri = format!("http://{}", home.address).parse().expect("a URI");
        let client = client::client(Config::new(uri)).expect("a client");
        let options = Options {
            namespace: "istio-system".to_owned(),
            kinds: vec![Kind::Service],
            timeout,
            allowed: BTreeSet::new(),
        };
        let (sender, batches) = mpsc::channel(8);
        let health = Health::new("home");
        let (status, shutdown) = (Remotes::new(health.clone()), CancellationToken::new());
        let connection = Connection::new(client, health);
        let of = (status.clone(), shutdown.clone());
        tokio::spawn(async move {
            watch(connection, options, of.0, sender, of.1).await.expect("no fault");
        });
        Self { batches, status, _shutdown: shutdown.drop_guard() }
    }

    async fn next(&mut self) -> String {
        let batch = timeout(Duration::from_secs(10), self.batches.recv()).await.expect("a batch in time");
        shown(&batch.expect("a batch"))
    }

    fn states(&self) -> Vec<String> {
        let one = |c: ClusterStatus| format!("{} {} {}", c.cluster, c.secret, c.status.name());
        self.status.remotes().into_iter().map(one).collect()
    }
}

/// A batch in a line: its cluster, whether it is complete, what came and went, the fields of problems.
fn shown(batch: &Batch) -> String {
    let mut words: Vec<String> = batch.cluster.iter().map(ToString::to_string).collect();
    words.extend(batch.complete.then(|| "complete".to_owned()));
    let sign = |there: bool| if there { '+' } else { '-' };
    words.extend(batch.events.iter().map(|e| format!("{}{}", sign(e.object.is_some()), e.key.name)));
    let problem = |r: &Arc<Report>| {
        let object = r.object.as_ref().map_or("", |o| &*o.name);
        format!("{object}:{}", r.field)
    };
    words.extend(batch.appeared.iter().map(|r| format!("!{}", problem(r))));
    words.extend(batch.cleared.iter().map(|r| format!("~{}", problem(r))));
    words.join(" ")
}

async fn home() -> FakeServer {
    FakeServer::start(&[SECRETS]).await
}

async fn remote(services: &[&str]) -> FakeServer {
    let server = FakeServer::start(&[SERVICES]).await;
    services.iter().for_each(|name| server.put(SERVICES, service(name)));
    server
}

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}})
}

fn kubeconfig(server: SocketAddr, user: &str) -> String {
    format!(
        "current-context: it
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
clusters: [{{name: it, cluster: {{server: 'http://{server}'}}}}]
users: [{{name: it, user: {user}}}]
"
    )
}

fn secret(name: &str, kubeconfigs: &[(&str, String)]) -> Value {
    let data = kubeconfigs.iter().map(|(cluster, text)| (*cluster, ByteString(text.clone().into_bytes())));
    json!({
        "metadata": {"name": name, "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}},
        "data": data.collect::<BTreeMap<_, _>>(),
    })
}

/// A server that takes connections and never answers.
async fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

const TOKEN: &str = "{token: abc}";

#[tokio::test]
async fn a_cluster_comes_with_its_secret_and_goes_with_it() {
    let (home, east) = (home().await, remote(&["cart"]).await);
    let unlabelled =
        json!({"metadata": {"name": "other", "namespace": "istio-system"}, "data": {"west": "YQ=="}});
    home.put(SECRETS, unlabelled);
    home.put(SECRETS, secret("remote", &[("home", "not read".to_owned())]));
    let mut follows = Follows::start(&home, LONG);
    assert_eq!(follows.next().await, "complete", "there is none, and the home cluster is not followed twice");
    home.put(SECRETS, secret("remote", &[("east", kubeconfig(east.address, TOKEN))]));
    assert_eq!(follows.next().await, "east complete +cart");
    assert_eq!(follows.states(), ["east istio-system/remote synced"]);
    east.put(SERVICES, service("till"));
    assert_eq!(follows.next().await, "east +till");
    east.delete(SERVICES, "shop", "cart");
    assert_eq!(follows.next().await, "east -cart");
    home.delete(SECRETS, "istio-system", "remote");
    assert_eq!(follows.next().await, "east complete", "nothing is left of it");
    assert_eq!(follows.states(), [""; 0]);
    let events: Vec<_> = follows.status.secret_events();
    assert_eq!(events, [(SecretEvent::Add, 1), (SecretEvent::Update, 1), (SecretEvent::Delete, 1)]);
}

#[tokio::test]
async fn the_first_look_waits_for_the_clusters_that_are_there() {
    let (home, east, west) = (home().await, remote(&["cart"]).await, remote(&[]).await);
    let both = [("east", kubeconfig(east.address, TOKEN)), ("west", kubeconfig(west.address, TOKEN))];
    home.put(SECRETS, secret("remote", &both));
    let mut follows = Follows::start(&home, LONG);
    let mut first = [follows.next().await, follows.next().await];
    first.sort();
    assert_eq!(first, ["east complete +cart", "west complete"]);
    assert_eq!(follows.next().await, "complete");
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_not_waited_for_beyond_the_limit() {
    let (home, east) = (home().await, remote(&["cart"]).await);
    let (_listener, nowhere) = silent().await;
    let both = [("east", kubeconfig(east.address, TOKEN)), ("west", kubeconfig(nowhere, TOKEN))];
    home.put(SECRETS, secret("remote", &both));
    let mut follows = Follows::start(&home, Duration::from_millis(500));
    assert_eq!(follows.next().await, "east complete +cart");
    assert_eq!(follows.next().await, "complete", "nothing is said of the cluster that is not known");
    assert_eq!(follows.states(), ["east istio-system/remote synced", "west istio-system/remote timeout"]);
    assert_eq!(follows.status.timeouts(), [("west".into(), 1)]);
    let lines = follows.status.lines();
    assert!(lines.iter().any(|l| l.contains("cluster west: services are not listed yet")), "{lines:?}");
}

#[tokio::test]
async fn other_credentials_take_over_when_they_have_listed_all() {
    let (home, old, new) = (home().await, remote(&["cart", "till"]).await, remote(&["cart", "shelf"]).await);
    let at = |server: SocketAddr| secret("remote", &[("east", kubeconfig(server, TOKEN))]);
    home.put(SECRETS, at(old.address));
    let mut follows = Follows::start(&home, LONG);
    assert_eq!(follows.next().await, "east complete +cart +till");
    assert_eq!(follows.next().await, "complete");

    let (_listener, nowhere) = silent().await;
    home.put(SECRETS, at(nowhere));
    old.put(SERVICES, service("desk"));
    assert_eq!(follows.next().await, "east +desk", "what was followed is followed on meanwhile");
    home.put(SECRETS, secret("remote", &[("east", kubeconfig(new.address, "{tokenFile: /etc/passwd}"))]));
    assert_eq!(follows.next().await, "!remote:data.east.users[it].user.tokenFile");
    assert_eq!(follows.states(), ["east istio-system/remote synced"]);
    old.delete(SERVICES, "shop", "desk");
    assert_eq!(follows.next().await, "east -desk", "also when the new ones are refused");

    home.put(SECRETS, at(new.address));
    assert_eq!(follows.next().await, "~remote:data.east.users[it].user.tokenFile");
    assert_eq!(follows.next().await, "east complete +cart +shelf");
    // The old source has ended: what its server says now is not heard.
    old.put(SERVICES, service("late"));
    new.put(SERVICES, service("last"));
    assert_eq!(follows.next().await, "east +last");
}

#[tokio::test]
async fn a_cluster_that_another_secret_provides_is_refused() {
    let (home, east, other) = (home().await, remote(&["cart"]).await, remote(&["till"]).await);
    let of = |name: &str, server: &FakeServer| secret(name, &[("east", kubeconfig(server.address, TOKEN))]);
    home.put(SECRETS, of("one", &east));
    let mut follows = Follows::start(&home, LONG);
    assert_eq!(follows.next().await, "east complete +cart");
    assert_eq!(follows.next().await, "complete");
    home.put(SECRETS, of("another", &other));
    assert_eq!(follows.next().await, "!another:data.east");
    home.delete(SECRETS, "istio-system", "one");
    assert_eq!(follows.next().await, "~another:data.east");
    assert_eq!(follows.next().await, "east complete +till", "it is the other's now");
    assert_eq!(follows.states(), ["east istio-system/another synced"]);
}

#[tokio::test]
async fn secrets_that_may_not_be_read_are_not_waited_for_for_ever() {
    let home = home().await;
    home.forbid("list", SECRETS);
    let mut follows = Follows::start(&home, Duration::from_millis(200));
    assert_eq!(follows.next().await, "complete");
    let lines = follows.status.lines();
    assert!(
        lines.iter().any(|l| l.contains("secrets istio/multiCluster=true cannot be followed")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_refused_kubeconfig_holds_nothing_up() {
    let home = home().await;
    home.put(SECRETS, secret("remote", &[("east", kubeconfig(home.address, "{exec: {command: touch}}"))]));
    let mut follows = Follows::start(&home, LONG);
    assert_eq!(follows.next().await, "!remote:data.east.users[it].user.exec");
    assert_eq!(follows.next().await, "complete");
    assert_eq!(follows.states(), [""; 0]);
}
