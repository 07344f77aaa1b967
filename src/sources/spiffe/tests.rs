//! When bundles are fetched, and what stays of them.

use std::net::SocketAddr;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::jwks::{Internal, Options};

/// More than any wait.
const LONG: Duration = Duration::from_secs(3 * 3600);

/// What each address answers now, and when it was asked.
#[derive(Default)]
struct World {
    answers: Mutex<BTreeMap<Arc<str>, u8>>,
    asked: Mutex<Vec<(Arc<str>, Instant)>>,
}

struct Following {
    world: Arc<World>,
    wanted: watch::Sender<Wanted>,
    told: watch::Receiver<Bundles>,
    _task: tokio::task::JoinHandle<()>,
}

impl Following {
    fn start() -> Self {
        let world = Arc::new(World::default());
        let ((wanted, asked), (sender, told)) =
            (watch::channel(Wanted::new()), watch::channel(Bundles::new()));
        let outside = Arc::clone(&world);
        let fetch = move |address: Arc<str>| {
            let outside = Arc::clone(&outside);
            async move {
                outside.asked.lock().expect("a lock").push((Arc::clone(&address), Instant::now()));
                let answers = outside.answers.lock().expect("a lock");
                answers
                    .get(&address)
                    .map(|content| vec![vec![*content]])
                    .ok_or_else(|| "it is down".to_owned())
            }
        };
        let task = tokio::spawn(follow_with(asked, sender, fetch));
        Self { world, wanted, told, _task: task }
    }

    fn answer(&self, address: &str, content: Option<u8>) {
        let mut answers = self.world.answers.lock().expect("a lock");
        match content {
            Some(content) => answers.insert(address.into(), content),
            None => answers.remove(address),
        };
    }

    fn want(&self, addresses: &[&str]) {
        self.wanted.send_replace(addresses.iter().map(|&address| address.into()).collect());
    }

    /// What is known when this holds of it.
    async fn until(&mut self, holds: impl Fn(&Bundles) -> bool) -> Bundles {
        timeout(LONG, self.told.wait_for(|known| holds(known)))
            .await
            .expect("in time")
            .expect("it goes on")
            .clone()
    }

    /// Times between asking one address and asking it again.
    fn waits(&self) -> Vec<u64> {
        let asked = self.world.asked.lock().expect("a lock");
        asked.windows(2).map(|pair| (pair[1].1 - pair[0].1).as_secs()).collect()
    }
}

fn has(known: &Bundles, address: &str, content: u8) -> bool {
    let certificates = known.get(address).and_then(|bundle| bundle.certificates.as_deref());
    certificates == Some(&[vec![content]])
}

#[tokio::test(start_paused = true)]
async fn roots_are_fetched_at_once_and_every_half_hour() {
    let mut following = Following::start();
    following.answer("a", Some(1));
    following.want(&["a"]);
    following.until(|known| has(known, "a", 1)).await;
    following.answer("a", Some(2));
    let known = following.until(|known| has(known, "a", 2)).await;
    assert_eq!(following.waits(), [1800]);
    assert_eq!(known["a"].fetched, Some(Instant::now()));
    // Another address is asked at once, and does not make the first one asked again.
    following.answer("b", Some(3));
    following.want(&["a", "b"]);
    following.until(|known| has(known, "b", 3)).await;
    assert_eq!(following.waits(), [1800, 0]);
    following.want(&["b"]);
    following.until(|known| !known.contains_key("a") && has(known, "b", 3)).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_good_roots_stay_while_a_fetch_fails() {
    let mut following = Following::start();
    following.answer("a", Some(1));
    following.want(&["a"]);
    let fetched = following.until(|known| has(known, "a", 1)).await["a"].fetched;
    following.answer("a", None);
    let known = following.until(|known| known["a"].error.is_some()).await;
    assert!(has(&known, "a", 1), "{known:?}");
    assert_eq!((known["a"].fetched, known["a"].error.as_deref()), (fetched, Some("it is down")));
    following.answer("a", Some(2));
    let known = following.until(|known| has(known, "a", 2)).await;
    assert_eq!(known["a"].error, None);
    assert_eq!(following.waits(), [1800, 60]);
}

#[tokio::test(start_paused = true)]
async fn where_there_are_none_they_are_asked_for_soon_again() {
    let mut following = Following::start();
    following.want(&["a"]);
    let known = following.until(|known| !known.is_empty()).await;
    assert_eq!((known["a"].certificates.as_ref(), known["a"].fetched), (None, None));
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(following.waits(), [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn roots_come_over_tls_only() {
    assert_eq!(whole("example.org/bundle").as_deref(), Ok("https://example.org/bundle"));
    assert_eq!(whole("https://example.org").as_deref(), Ok("https://example.org"));
    assert!(whole("http://example.org").is_err_and(|words| words.contains("https only")));
}

/// An endpoint that answers with this body over TLS, its address, and its certificate.
async fn endpoint(body: String) -> (SocketAddr, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a pair");
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, certificate.pem())
}

#[tokio::test]
async fn a_bundle_comes_from_who_proves_to_be_its_endpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = format!(r#"{{"keys":[{{"use":"x509-svid","x5c":["{}"]}}]}}"#, STANDARD.encode([1, 2, 3]));
    let (address, certificate) = endpoint(body).await;
    let url: Arc<str> = format!("localhost:{}/bundle", address.port()).into();
    let extra_roots = folder.path().join("extra.pem");
    for (trusted, expected) in [(None, None), (Some(certificate), Some([vec![1, 2, 3]]))] {
        if let Some(pem) = trusted {
            std::fs::write(&extra_roots, pem).expect("a file");
        }
        let options =
            Options { internal: Internal::Any, extra_roots: extra_roots.clone(), ..Options::default() };
        let fetcher = Fetcher::new(options).expect("TLS");
        let (_wanted, asked) = watch::channel(Wanted::from([Arc::clone(&url)]));
        let (sender, mut told) = watch::channel(Bundles::new());
        let following = tokio::spawn(follow(fetcher, asked, sender));
        let known = timeout(LONG, told.wait_for(|known| !known.is_empty())).await;
        let bundle = known.expect("in time").expect("it goes on")[&url].clone();
        assert_eq!(bundle.certificates.as_deref(), expected.as_ref().map(<[_; 1]>::as_slice), "{bundle:?}");
        assert_eq!(bundle.error.is_none(), expected.is_some(), "{bundle:?}");
        following.abort();
    }
}
