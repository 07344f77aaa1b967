//! What is asked of signers, and which of their answers are passed on. The signer is played here, on an API server in memory.

use std::time::{Duration, SystemTime};

use api::mesh_config::{CaCertificate, MeshConfig};
use ca::{Csr, PrivateKey, SpiffeId};
use controllers::write::Rate;
use kube::{Client, Config};
use model::Ref;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use sources::kube::Health;
use testkit::kubernetes::FakeServer;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::*;
use crate::serving::tls::{Certificate, Request};

const LIST: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const SIGNER: &str = "example.com/mesh";

/// What waiting for an event may take on a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// A root that signs whatever it is asked to.
struct Root {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn root() -> Arc<Root> {
    let (key, mut params) = (KeyPair::generate().expect("a key"), CertificateParams::default());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).expect("a root").pem().replace('\r', "");
    Arc::new(Root { pem, issuer: Issuer::new(params, key) })
}

struct World {
    server: Arc<FakeServer>,
    used: Used,
    tasks: JoinSet<Result<()>>,
    settings: watch::Sender<Option<Ref<MeshConfig>>>,
    registry: Registry,
}

fn names(usual: &str, domain: &str) -> Elsewhere {
    Elsewhere { usual: usual.to_owned(), domain: domain.to_owned() }
}

async fn world(elsewhere: Elsewhere, mesh: MeshConfig) -> Result<World> {
    let server = Arc::new(FakeServer::start(&[LIST]).await);
    let client = Client::try_from(Config::new(format!("http://{}", server.address).parse()?))?;
    let connection = Connection::new(client, Health::new("home"));
    let registry = Registry::new();
    let writers = Writers::new(&connection, Rate { per_second: 1000.0, burst: 1000.0 }, &registry)?;
    let (settings, known) = watch::channel(Some(Ref::new(mesh)));
    let mut tasks = JoinSet::new();
    let issuing = Issuing { offered: true, provider: Provider::Istiod, elsewhere: Some(elsewhere) };
    let cluster = Some((&connection, &writers));
    let used = Used::of(&mut tasks, &issuing, cluster, &known, &registry)?;
    Ok(World { server, used, tasks, settings, registry })
}

impl World {
    /// Signs what was approved for a signer, and adds `behind` to each certificate.
    fn play(&mut self, signer: &'static str, root: &Arc<Root>, behind: String) {
        let (server, root) = (Arc::clone(&self.server), Arc::clone(root));
        self.tasks.spawn(async move {
            loop {
                for mut object in server.all(LIST) {
                    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
                    let approved = text("/status/conditions/0/type") == "Approved";
                    if approved
                        && text("/spec/signerName") == signer
                        && text("/status/certificate").is_empty()
                    {
                        let csr = String::from_utf8(decoded(text("/spec/request")))?;
                        let request = CertificateSigningRequestParams::from_pem(&csr)?;
                        let chain = format!("{}{behind}", request.signed_by(&root.issuer)?.pem());
                        object["status"]["certificate"] = encoded(chain.as_bytes()).into();
                        server.put(LIST, object);
                    }
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
    }

    async fn sign(&self, order: Order) -> Result<Vec<String>, Unsigned> {
        let external = self.used.external.as_ref().expect("signers");
        timeout(LONG, external.sign(order)).await.expect("in time")
    }
}

/// Base64, as JSON has bytes.
fn encoded(bytes: &[u8]) -> String {
    let text = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).expect("JSON");
    text.as_str().expect("a text").to_owned()
}

fn decoded(text: &str) -> Vec<u8> {
    serde_json::from_value::<k8s_openapi::ByteString>(json!(text)).expect("base64").0
}

fn order(signer: &str) -> Order {
    let key = PrivateKey::generate().expect("a key");
    let identity: SpiffeId = WEB.parse().expect("an identity");
    let csr = key.request(&identity).expect("a request");
    Order {
        key: Csr::from_pem(&csr).expect("a request").key,
        csr,
        identity,
        lifetime: None,
        signer: signer.to_owned(),
        source: None,
        now: SystemTime::now(),
    }
}

fn trusting(pem: &str, signer: &str) -> MeshConfig {
    let one = CaCertificate {
        pem: Some(pem.to_owned()),
        cert_signers: vec![signer.to_owned()],
        ..CaCertificate::default()
    };
    MeshConfig { ca_certificates: vec![one], ..MeshConfig::default() }
}

#[tokio::test]
async fn the_answer_ends_with_the_root_that_the_mesh_configuration_has() -> Result<()> {
    let root = root();
    let mut world = world(names(SIGNER, ""), trusting(&root.pem, SIGNER)).await?;
    world.play(SIGNER, &root, String::new());
    let chain = world.sign(order("")).await.expect("a certificate");
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], root.pem);
    assert!(chain[0].ends_with("-----END CERTIFICATE-----\n"));
    assert!(world.server.all(LIST).is_empty(), "objects are taken away");
    // Roots that come later count from then on.
    world.settings.send_replace(Some(Ref::new(trusting(&self::root().pem, SIGNER))));
    let refused = world.sign(order("")).await.expect_err("another root");
    assert!(
        matches!(&refused, Unsigned::Failed(words) if words.contains("does not lead to a root")),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn workloads_choose_among_the_signers_of_a_domain() -> Result<()> {
    let root = root();
    let mut world = world(names(SIGNER, "clusterissuers.example.com"), MeshConfig::default()).await?;
    world.play("clusterissuers.example.com/east", &root, root.pem.clone());
    let chain = world.sign(order("east")).await.expect("a certificate");
    assert_eq!(chain[1..], [root.pem.as_str()], "the chain tells the root");
    for bad in ["a/b", "", "a b", "\u{e4}", &"a".repeat(LONGEST)] {
        if !bad.is_empty() {
            assert!(matches!(world.sign(order(bad)).await, Err(Unsigned::Failed(_))), "{bad}");
        }
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&world.registry.gather())?;
    assert!(text.contains(r#"signer="clusterissuers.example.com/east"} 1"#), "{text}");
    assert!(!text.contains("a/b"), "{text}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_named_or_is_too_short_is_not_asked_for() -> Result<()> {
    let world = world(names(SIGNER, ""), MeshConfig::default()).await?;
    let refused = world.sign(order("east")).await.expect_err("no domain");
    assert!(matches!(&refused, Unsigned::Failed(words) if words.contains("CERT_SIGNER_DOMAIN is not set")));
    let short = Order { lifetime: Some(Duration::from_secs(599)), ..order("") };
    assert!(matches!(world.sign(short).await, Err(Unsigned::Lifetime(_))));
    assert!(world.server.writes().is_empty());
    let nameless = full_name(&names("", "example.com"), "").expect_err("no usual signer");
    assert!(matches!(nameless, Unsigned::Failed(words) if words.contains("K8S_SIGNER is not set")));
    Ok(())
}

#[tokio::test]
async fn a_signer_whose_root_nobody_knows_helps_nobody() -> Result<()> {
    let root = root();
    let mut world = world(names(SIGNER, ""), MeshConfig::default()).await?;
    world.play(SIGNER, &root, String::new());
    let refused = world.sign(order("")).await.expect_err("no root");
    assert!(matches!(&refused, Unsigned::Failed(words) if words.contains("nobody says what its root is")));
    Ok(())
}

#[tokio::test]
async fn the_control_plane_s_own_certificate_is_asked_for_too() -> Result<()> {
    let root = root();
    let mut world = world(names(SIGNER, ""), MeshConfig::default()).await?;
    world.play(SIGNER, &root, String::new());
    let (_sender, roots) = watch::channel(Some(Arc::from(root.pem.as_str())));
    let names = vec!["istiod.istio-system.svc".to_owned()];
    let signers = world.used.signers.clone().expect("signers");
    let request = Request { signers, signer: SIGNER.to_owned(), names };
    let certificate = timeout(LONG, Certificate::requested(request, roots)).await?;
    assert_eq!(certificate.roots().borrow().as_deref(), Some(root.pem.as_str()));
    assert!(format!("{:?}", certificate.shown()).contains("CertifiedKey"), "{certificate:?}");
    Ok(())
}

#[tokio::test]
async fn without_a_cluster_there_are_no_signers() {
    let (_, settings) = watch::channel(None);
    let elsewhere = Some(names(SIGNER, ""));
    let issuing = Issuing { offered: true, provider: Provider::Istiod, elsewhere };
    let used = Used::of(&mut JoinSet::new(), &issuing, None, &settings, &Registry::new());
    assert!(used.err().expect("an error").to_string().contains("need a cluster"));
}
