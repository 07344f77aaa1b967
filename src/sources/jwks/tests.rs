//! Keys that come, change, fail and grow old, with fetches and a time of the test's own; then fetches from servers of the
//! test's own.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn source(issuer: &str, uri: &str) -> JwksSource {
    JwksSource { issuer: issuer.into(), uri: uri.into() }
}

/// What fetches from each issuer find, one after the other; the last for ever.
type Answers = Arc<Mutex<BTreeMap<&'static str, VecDeque<Found>>>>;

struct Story {
    answers: Answers,
    state: Arc<Mutex<State>>,
    wanted: watch::Sender<WantedKeys>,
    batches: mpsc::Receiver<Batch>,
    start: Instant,
}

impl Story {
    fn start() -> Self {
        let answers = Answers::default();
        let refresh = Duration::from_secs(1200);
        let state = State { refresh, known: BTreeMap::new(), fetches: Fetches::default() };
        let state = Arc::new(Mutex::new(state));
        let (wanted, receiver) = watch::channel(WantedKeys::new());
        let (sender, batches) = mpsc::channel(4);
        let (asked, shared) = (Arc::clone(&answers), Arc::clone(&state));
        let fetch = move |source: JwksSource, _| {
            let mut asked = asked.lock().expect("answers");
            let left = asked.get_mut(&*source.issuer).expect("an issuer of the test");
            let found = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
            async move {
                match found {
                    Some(found) => found,
                    None => std::future::pending().await,
                }
            }
        };
        tokio::spawn(async move { follow_with(&shared, receiver, sender, fetch).await });
        Self { answers, state, wanted, batches, start: Instant::now() }
    }

    fn say(&self, issuer: &'static str, found: &[Result<&str, &str>]) {
        let found = found.iter().map(|f| f.map(Arc::from).map_err(str::to_owned)).collect();
        self.answers.lock().expect("answers").insert(issuer, found);
    }

    fn want(&self, issuers: &[&str]) {
        let patience = Duration::from_secs(5);
        self.wanted.send_replace(issuers.iter().map(|issuer| (source(issuer, ""), patience)).collect());
    }

    /// The next change, and how many seconds after the start it came.
    async fn next(&mut self) -> (String, Option<String>, u64) {
        let batch = self.batches.recv().await.expect("a batch");
        let [(source, keys)] = batch.keys.as_slice() else { panic!("{batch:?}") };
        (source.issuer.to_string(), keys.as_deref().map(str::to_owned), self.start.elapsed().as_secs())
    }
}

fn came(issuer: &str, keys: &str, after: u64) -> (String, Option<String>, u64) {
    (issuer.to_owned(), Some(keys.to_owned()), after)
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_and_told_when_they_differ() {
    let mut story = Story::start();
    story.say("a", &[Ok("1"), Ok("1"), Ok("2")]);
    story.want(&["a"]);
    assert_eq!(story.next().await, came("a", "1", 0));
    assert_eq!(story.next().await, came("a", "2", 2400));
    story.want(&[]);
    assert_eq!(story.next().await, ("a".to_owned(), None, 2400));
}

#[tokio::test(start_paused = true)]
async fn where_there_are_no_keys_it_is_tried_again_soon_and_then_later() {
    let mut story = Story::start();
    story.say("a", &[Err("1"), Err("2"), Err("3"), Ok("k")]);
    story.want(&["a"]);
    assert_eq!(story.next().await, came("a", "k", 1 + 2 + 4));
    let fetches = story.state.lock().expect("a state").fetches;
    assert_eq!(fetches, Fetches { succeeded: 1, failed: 3 });
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_holds_up_no_other_and_is_given_up() {
    let mut story = Story::start();
    story.say("slow", &[]);
    story.say("a", &[Ok("k")]);
    story.want(&["a", "slow"]);
    assert_eq!(story.next().await, came("a", "k", 0));
    tokio::time::sleep(Duration::from_secs(5)).await;
    story.say("slow", &[Ok("late")]);
    assert_eq!(story.next().await, came("slow", "late", 6));
}

#[tokio::test(start_paused = true)]
async fn the_last_good_keys_stay_for_a_week() {
    let mut story = Story::start();
    story.say("a", &[Ok("k"), Err("no route")]);
    story.want(&["a"]);
    assert_eq!(story.next().await, came("a", "k", 0));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let status = story.state.lock().expect("a state").status(Instant::now());
    assert_eq!(status[0].age, Some(Duration::from_secs(3600)));
    assert_eq!(status[0].error.as_deref(), Some("no route"));
    assert_eq!(story.next().await, ("a".to_owned(), None, 168 * 3600));
    let status = story.state.lock().expect("a state").status(Instant::now());
    assert_eq!(status[0].age, None);
}

/// A server that says the same to everybody, and its address.
async fn server(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or_default();
                let path = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).map(str::to_owned);
                let answer = answer.replace("PATH", &path.unwrap_or_default());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

const SET: &str = r#"{"keys":[{"e":"AQAB","kty":"RSA","n":"AQ"}]}"#;

async fn fetch(internal: Internal, issuer: &str, uri: &str) -> Found {
    let fetcher = Fetcher::new(Options { internal, ..Options::default() }).expect("TLS");
    fetcher.fetch(&source(issuer, uri), Duration::from_secs(20)).await
}

async fn refusal(internal: Internal, uri: &str) -> String {
    fetch(internal, "i", uri).await.expect_err("a refusal")
}

#[tokio::test]
async fn keys_come_from_their_address_or_where_the_issuer_says() {
    let keys = server(ok(SET)).await;
    let found = fetch(Internal::Any, "i", &format!("http://{keys}/keys")).await;
    assert_eq!(found.as_deref(), Ok(SET));
    let issuer = server(ok(&format!(r#"{{"jwks_uri":"http://{keys}/k"}}"#))).await;
    let found = fetch(Internal::Any, &format!("http://{issuer}/"), "").await;
    assert_eq!(found.as_deref(), Ok(SET));
}

#[tokio::test]
async fn the_issuer_is_asked_under_the_path_that_openid_names() {
    let issuer = server("HTTP/1.1 404 PATH\r\nlocation: x\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let error = fetch(Internal::Any, &format!("http://{issuer}/realm/"), "").await.expect_err("a 404");
    assert!(error.contains("/realm/.well-known/openid-configuration: it answers 404"), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_but_not_without_end() {
    let keys = server(ok(SET)).await;
    let hop = server(redirect(&format!("http://{keys}/k"))).await;
    assert_eq!(fetch(Internal::Any, "i", &format!("http://{hop}/")).await.as_deref(), Ok(SET));
    let round = server(redirect("/again")).await;
    let error = refusal(Internal::Any, &format!("http://{round}/")).await;
    assert!(error.contains("more than 5 redirects"), "{error}");
}

#[tokio::test]
async fn addresses_are_looked_at_when_they_are_dialled() {
    let keys = server(ok(SET)).await;
    for internal in [Internal::Never, Internal::Named] {
        for host in ["127.0.0.1", "localhost"] {
            let error = refusal(internal, &format!("http://{host}:{}/k", keys.port())).await;
            assert!(error.contains("this machine's own"), "{error}");
        }
    }
    let metadata = server(redirect("http://169.254.169.254/latest")).await;
    let error = refusal(Internal::Any, &format!("http://{metadata}/")).await;
    assert!(error.contains("never asked"), "{error}");
}

#[tokio::test]
async fn what_is_too_long_or_no_key_set_or_no_success_is_refused() {
    let cases = [
        (ok(&format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(2 << 20))), "cannot be read"),
        (ok("<html>"), "no JSON"),
        (ok("{\"keys\":[]}"), "no public key"),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_owned(), "answers 500"),
        (redirect("ftp://a/b"), "neither http nor https"),
    ];
    for (answer, wanted) in cases {
        let address = server(answer).await;
        let error = refusal(Internal::Any, &format!("http://{address}/")).await;
        assert!(error.contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn time_is_limited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let fetcher = Fetcher::new(Options { internal: Internal::Any, ..Options::default() }).expect("TLS");
    let found = fetcher.fetch(&source("i", &format!("http://{address}/")), Duration::from_millis(50)).await;
    assert_eq!(found, Err("no answer within 50ms".to_owned()));
}

#[tokio::test]
async fn the_first_look_fetches_all_and_what_follows_does_not_fetch_again() {
    let keys = server(ok(SET)).await;
    let fetcher = Fetcher::new(Options { internal: Internal::Any, ..Options::default() }).expect("TLS");
    let keyring = Keyring::new(fetcher, Duration::from_secs(1200));
    let good = source("good", &format!("http://{keys}/"));
    let wanted = WantedKeys::from([
        (good.clone(), Duration::from_secs(20)),
        (source("bad", "ftp://a/b"), Duration::from_secs(20)),
    ]);
    assert_eq!(keyring.look(&wanted).await, [(good, Some(Arc::from(SET)))]);
    assert_eq!(keyring.fetches(), Fetches { succeeded: 1, failed: 1 });
    assert!(lock(&keyring.state).due(9, Instant::now()).is_empty());
}

/// Options with a proxy for everything but what `without` names.
fn by_way_of(proxy: SocketAddr, without: &str) -> Options {
    let address = format!("http://anna:secret@{proxy}");
    let proxies = Proxies { http: address.clone(), https: address, without: without.to_owned() };
    Options { internal: Internal::Named, proxies, ..Options::default() }
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_asked_unless_the_host_is_left_out() {
    let proxy = server(ok(SET)).await;
    let fetcher = Fetcher::new(by_way_of(proxy, "")).expect("TLS");
    let patience = Duration::from_secs(20);
    // Nobody here can resolve it: the proxy may.
    let found = fetcher.fetch(&source("i", "http://keys.invalid/k"), patience).await;
    assert_eq!(found.as_deref(), Ok(SET));
    let refusing = server("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let fetcher = Fetcher::new(by_way_of(refusing, "")).expect("TLS");
    let refused =
        fetcher.fetch(&source("i", "https://keys.invalid/k"), patience).await.expect_err("no tunnel");
    assert!(refused.contains("407") && refused.contains("CONNECT"), "{refused}");
    let fetcher = Fetcher::new(by_way_of(proxy, "keys.invalid")).expect("TLS");
    let alone =
        fetcher.fetch(&source("i", "http://keys.invalid/k"), patience).await.expect_err("no such host");
    assert!(alone.contains("cannot be resolved"), "{alone}");
    assert!(!format!("{:?}", by_way_of(proxy, "")).contains("secret"), "passwords stay out of texts");
}

#[tokio::test]
async fn nothing_behind_a_proxy_is_asked_that_is_not_asked_without_one() {
    let metadata = redirect("http://169.254.169.254/latest");
    let inside = redirect("http://10.0.0.1/keys");
    for (answer, uri, wanted) in [
        (ok(SET), "http://169.254.169.254/latest", "never asked"),
        (ok(SET), "http://127.0.0.1/keys", "this machine's own"),
        (ok(SET), "http://localhost/keys", "this machine's own"),
        (metadata, "http://keys.invalid/k", "never asked"),
        // Whoever answers by way of a proxy is outside.
        (inside, "http://keys.invalid/k", "a server outside leads to"),
    ] {
        let fetcher = Fetcher::new(by_way_of(server(answer).await, "")).expect("TLS");
        let found = fetcher.fetch(&source("i", uri), Duration::from_secs(20)).await;
        let refused = found.expect_err("a refusal");
        assert!(refused.contains(wanted), "{uri}: {refused}");
    }
}

/// DNS rebinding: what was looked at is what is dialled, name by name and hop by hop.
#[tokio::test]
async fn a_name_is_looked_at_again_on_each_hop() {
    let keys = server(ok(SET)).await;
    let fetcher = Fetcher::new(Options {
        internal: Internal::Any,
        blocked: vec!["127.0.0.0/8".parse().expect("a range"), "::1/128".parse().expect("a range")],
        ..Options::default()
    });
    let fetcher = fetcher.expect("TLS");
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let uri = format!("http://{host}:{}/k", keys.port());
        let found = fetcher.fetch(&source("i", &uri), Duration::from_secs(20)).await;
        let refused = found.expect_err("a refusal");
        assert!(refused.contains("BLOCKED_CIDRS_IN_JWKS_URIS"), "{host}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_were_exchanged_take_the_place_of_the_old_ones() {
    let mut story = Story::start();
    story.say("a", &[Ok("old"), Err("no route"), Ok("new")]);
    story.want(&["a"]);
    assert_eq!(story.next().await, came("a", "old", 0));
    // After the failure it is tried again a minute later, and not at the next refresh.
    assert_eq!(story.next().await, came("a", "new", 1200 + 60));
    let status = story.state.lock().expect("a state").status(Instant::now());
    assert_eq!((status[0].age, &status[0].error), (Some(Duration::ZERO), &None));
}
