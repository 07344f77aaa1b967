//! Clients at the door, over real connections.

mod doors;
mod gone;
mod pages;
mod plain;
mod slow;
mod trust;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use api::mesh_config::MeshConfig;
use bytes::{BufMut as _, Bytes, BytesMut};
use ca::{Authority, PrivateKey, Request, Root, SpiffeId};
use clap::Parser as _;
use debug::{Ads, Later, Surface};
use envoy::config::core::v3::Node;
use envoy::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Ref;
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sources::kube::Health;
use testkit::ads::{Connection as Stream, Kind, Request as Asked, Variant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;
use xds::metrics::Metrics as Counted;
use xds::server::{Config, Hooks};

use super::*;
use crate::authority::trust::Own;
use crate::features;
use crate::flags::{Cli, Command};
use crate::serving::secret_access::Accounts;
use crate::serving::tls::Origin;
use crate::serving::translator::Translator;

/// A name of the control plane.
const NAME: &str = "istiod.istio-system.svc";

/// Another address of this machine.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// A served port, and what can be changed about it.
struct Port {
    address: SocketAddr,
    /// Where its clients come from.
    client: IpAddr,
    /// The port without TLS.
    plain: SocketAddr,
    server: Server,
    /// The debug pages.
    surface: Surface,
    /// What the server's certificate is of.
    root: Arc<Root>,
    trusted: watch::Sender<Option<Arc<str>>>,
    /// Takes another mesh configuration, whose further roots count.
    settings: watch::Sender<Option<Ref<MeshConfig>>>,
    trust: Trust,
    holders: Holders,
    _tasks: JoinSet<Result<()>>,
    _kept: (watch::Sender<bool>, Box<dyn std::any::Any + Send>),
}

fn root() -> Arc<Root> {
    Arc::new(Root::generate("cluster.local", now()).expect("a root"))
}

#[allow(clippy::disallowed_methods, reason = "TLS looks at the clock as well")]
fn now() -> SystemTime {
    SystemTime::now()
}

async fn port(change: impl FnOnce(&mut Security)) -> Result<Port> {
    port_of(change, Config::default(), &[]).await
}

async fn port_of(change: impl FnOnce(&mut Security), config: Config, flags: &[&str]) -> Result<Port> {
    port_with(change, config, flags, Arc::default()).await
}

async fn port_with(
    change: impl FnOnce(&mut Security),
    config: Config,
    flags: &[&str],
    served: Arc<Mesh>,
) -> Result<Port> {
    port_by(change, config, flags, (served, None::<fn(Rules, Settings) -> KubernetesTokens>)).await
}

/// One whose tokens are judged by what this makes.
async fn port_judged(judge: impl FnOnce(Rules, Settings) -> KubernetesTokens) -> Result<Port> {
    port_by(|_| {}, Config::default(), &[], (Arc::default(), Some(judge))).await
}

async fn port_by(
    change: impl FnOnce(&mut Security),
    config: Config,
    flags: &[&str],
    (served, judge): (Arc<Mesh>, Option<impl FnOnce(Rules, Settings) -> KubernetesTokens>),
) -> Result<Port> {
    let mut rules = features::security::security();
    change(&mut rules);
    let root = root();
    let pem: Arc<str> = root.cert_pem().into();
    let (trusted, trust) = watch::channel(Some(Arc::clone(&pem)));
    let signs = Root::from_pem(root.cert_pem(), &root.expose_key_pem(), now())?;
    let (_, roots) = watch::channel(Some(Arc::new(Authority::self_signed(signs, None)?)));
    let mesh = MeshConfig { trust_domain_aliases: vec!["old.example".to_owned()], ..MeshConfig::default() };
    let (configured, settings) = watch::channel(Some(Ref::new(mesh)));
    let Command::Discovery(flags) = Cli::parse_from([&["pilothouse", "discovery"], flags].concat()).command
    else {
        unreachable!("the command says so")
    };
    let registry = Registry::new();
    let pages = Later::default();
    let hooks = Hooks { debug: Some(Arc::new(pages.clone())), ..Hooks::default() };
    let (server, engine) = Server::start(
        Arc::new(
            Translator::new(Accounts::register(&registry)?.0, rules.check_identity).within(settings.clone()),
        ),
        config,
        Counted::register(&registry)?,
        hooks,
    )?;
    engine.update(served, model::Changes::default(), Duration::ZERO);
    let origin = Origin::files(&flags)?.unwrap_or_else(|| Origin::Root(roots.clone()));
    let identity = Identity::of(&flags, origin);
    let holders = Holders::default();
    holders.trusting(&pem);
    let given = holders.clone();
    let (signing, judged_by) = (Signing::Here(roots.clone()), settings.clone());
    let mut tasks = JoinSet::new();
    // What proxies are told is another matter.
    let (batches, told) = mpsc::channel(64);
    let own = Own { roots, clients: trust.clone(), peers: trust };
    let trust = Trust::start(&mut tasks, own, settings.clone(), (true, batches), &registry)?;
    let trusting = trust.clone();
    let known = Known {
        signing: Some(Signing::Here(trust.roots.clone())),
        trust,
        holders,
        settings,
        presence: Arc::default(),
    };
    let mut secure = Secure::new(
        &mut tasks,
        &flags,
        rules,
        (None, Remotes::new(Health::new("Kubernetes"))),
        known,
        &registry,
    )?;
    if let Some(judge) = judge {
        let rules = Rules { audiences: vec!["istio-ca".to_owned()], ..Rules::default() };
        let tokens = judge(rules, judged_by.clone());
        let authenticators = Authenticators::new(judged_by, Some(tokens), auth::Forwarded::default());
        secure.authenticators = Arc::new(authenticators);
        let (known, metrics) = (Arc::clone(&secure.authenticators), Metrics::register(&Registry::new())?);
        let signing = (signing, Arc::new(|_: &SpiffeId, _, _: &str| {}) as Witness);
        let rate = auth::Rate::default();
        secure.issuing = Some(CertificateService::new(known, None, signing, rate, metrics));
    }
    let surface = pages::surface(&server, secure.viewers());
    pages.set(Ads::new(surface.clone(), "{}".to_owned()));
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let without_tls = TcpListener::bind("127.0.0.1:0").await?;
    let plain = without_tls.local_addr()?;
    let (serving, gate) = (server.clone(), secure.plaintext_gate());
    tasks.spawn(async move {
        serving.listen(without_tls, gate, Router::new()).await;
        Ok(())
    });
    let (made, is_made) = watch::channel(true);
    tasks.spawn(secure.serve(socket, server.clone(), identity, is_made, Arc::default()));
    Ok(Port {
        address,
        client: Ipv4Addr::LOCALHOST.into(),
        plain,
        server,
        surface,
        root,
        trusted,
        settings: configured,
        trust: trusting,
        holders: given,
        _tasks: tasks,
        _kept: (made, Box::new((engine, told))),
    })
}

/// What a client shows: a certificate of this identity that this root signed.
fn shown(root: &Root, domain: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let key = PrivateKey::generate()?;
    let request = Request {
        public_key: key.public_key()?,
        identity: SpiffeId::new(domain, "shop", "web")?,
        lifetime: Duration::from_secs(600),
    };
    let signed = root.sign(&request, now())?;
    let chain = CertificateDer::pem_slice_iter(signed.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_slice(key.expose_pem().as_bytes())?))
}

impl Port {
    async fn connect(&self, of: Option<(&Root, &str)>) -> Result<ClientStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root.cert_pem().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match of {
            Some((root, domain)) => {
                let (chain, key) = shown(root, domain)?;
                config.with_client_auth_cert(chain, key)?
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.client, 0).into())?;
        let socket = socket.connect(self.address).await?;
        Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME)?, socket).await?)
    }

    /// Asks as a proxy of a namespace; the gRPC status if it is refused.
    async fn ask(
        &self,
        of: Option<(&Root, &str)>,
        headers: &[(&str, &str)],
        (variant, namespace): (Variant, &str),
    ) -> Result<Option<(i32, String)>> {
        let mut stream = Stream::open_over(self.connect(of).await?, variant, headers).await?;
        let id = format!("sidecar~10.0.0.7~web-1.{namespace}~{namespace}.svc.cluster.local");
        let node = Some(Node { id, ..Node::default() });
        let type_url = Kind::Cluster.type_url().to_owned();
        stream.send(&match variant {
            Variant::Delta => {
                Asked::Delta(DeltaDiscoveryRequest { node, type_url, ..DeltaDiscoveryRequest::default() })
            }
            Variant::Sotw => Asked::Sotw(DiscoveryRequest { node, type_url, ..DiscoveryRequest::default() }),
        });
        let served = stream.receive().await?.is_some();
        let status = stream.status().map(|(code, words)| (code, words.to_owned()));
        ensure!(served == status.is_none(), "{served} {status:?}");
        Ok(status)
    }

    /// Asks for a certificate; the chain, or the gRPC status.
    async fn certificate(&self, of: Option<(&Root, &str)>, csr: &str) -> Result<Result<Vec<String>, String>> {
        self.certificate_for(of, &[], csr).await
    }

    /// [`Port::certificate`], with these headers.
    async fn certificate_for(
        &self,
        of: Option<(&Root, &str)>,
        headers: &[(&str, &str)],
        csr: &str,
    ) -> Result<Result<Vec<String>, String>> {
        let io = TokioIo::new(self.connect(of).await?);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        let request = IstioCertificateRequest { csr: csr.to_owned(), ..IstioCertificateRequest::default() };
        let message = request.encode_to_vec();
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len())?);
        body.put_slice(&message);
        let request =
            http::Request::post("http://istiod/istio.v1.auth.IstioCertificateService/CreateCertificate")
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::<Bytes>::new(body.freeze()))?;
        let response = sender.send_request(request).await?;
        if let Some(status) = response.headers().get("grpc-status") {
            return Ok(Err(status.to_str()?.to_owned()));
        }
        let body = response.into_body().collect().await?.to_bytes();
        let answer = IstioCertificateResponse::decode(body.slice(5..))?;
        Ok(Ok(answer.cert_chain))
    }
}

/// The first request of a proxy of the shop.
fn first_request(variant: Variant, type_url: &str) -> Asked {
    let id = "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local".to_owned();
    let (node, type_url) = (Some(Node { id, ..Node::default() }), type_url.to_owned());
    match variant {
        Variant::Delta => {
            Asked::Delta(DeltaDiscoveryRequest { node, type_url, ..DeltaDiscoveryRequest::default() })
        }
        Variant::Sotw => Asked::Sotw(DiscoveryRequest { node, type_url, ..DiscoveryRequest::default() }),
    }
}

const SHOP: [(Variant, &str); 2] = [(Variant::Delta, "shop"), (Variant::Sotw, "shop")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_mesh_opens_the_door_for_its_own_namespace() -> Result<()> {
    let port = port(|_| {}).await?;
    let web = Some((&*port.root, "cluster.local"));
    for asked in SHOP {
        assert_eq!(port.ask(web, &[], asked).await?, None);
    }
    for variant in [Variant::Delta, Variant::Sotw] {
        let (code, _) = port.ask(web, &[], (variant, "bank")).await?.context("it is served")?;
        assert_eq!(code, 7);
    }
    // An alias is as good.
    assert_eq!(port.ask(Some((&*port.root, "old.example")), &[], SHOP[0]).await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_nothing_or_nonsense_learns_nothing() -> Result<()> {
    let port = port(|_| {}).await?;
    let xfcc = ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/web");
    for headers in [&[][..], &[("authorization", "Bearer nonsense")], &[xfcc]] {
        for asked in SHOP {
            let refused = port.ask(None, headers, asked).await?;
            assert_eq!(refused, Some((16, "authentication failure".to_owned())), "{headers:?}");
        }
    }
    assert_eq!(port.certificate(None, "").await?, Err("16".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_others_are_refused_in_the_handshake() -> Result<()> {
    let port = port(|_| {}).await?;
    let stranger = root();
    for of in [(&*stranger, "cluster.local"), (&*port.root, "evil.example")] {
        assert!(port.ask(Some(of), &[], SHOP[0]).await.is_err());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roots_of_the_moment_count() -> Result<()> {
    let port = port(|_| {}).await?;
    let next = root();
    let [old, new] = [&*port.root, &*next].map(|root| Some((root, "cluster.local")));
    let both = format!("{}{}", port.root.cert_pem(), next.cert_pem());
    port.trusted.send_replace(Some(both.into()));
    assert_eq!(port.ask(old, &[], SHOP[0]).await?, None);
    assert_eq!(port.ask(new, &[], SHOP[0]).await?, None);
    port.trusted.send_replace(Some(next.cert_pem().into()));
    assert!(port.ask(old, &[], SHOP[0]).await.is_err());
    assert_eq!(port.ask(new, &[], SHOP[0]).await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_the_callers_own() -> Result<()> {
    let port = port(|_| {}).await?;
    let web = Some((&*port.root, "cluster.local"));
    let mut asked = rcgen::CertificateParams::default();
    let admin = "spiffe://cluster.local/ns/bank/sa/admin".try_into()?;
    asked.subject_alt_names = vec![rcgen::SanType::URI(admin)];
    let csr = asked.serialize_request(&rcgen::KeyPair::generate()?)?.pem()?;
    let chain = port.certificate(web, &csr).await?;
    let chain = chain.map_err(anyhow::Error::msg)?;
    assert_eq!(chain.last().map(String::as_str), Some(port.root.cert_pem()));
    let leaf = CertificateDer::from_pem_slice(chain[0].as_bytes())?;
    assert_eq!(auth::certificate::identity(&leaf).expect("an identity").to_string(), WEB);
    assert_eq!(
        port.holders.now().given,
        BTreeMap::from([(format!("{WEB}|127.0.0.1"), 1)]),
        "it has the roots now"
    );
    assert_eq!(port.certificate(web, "nonsense").await?, Err("3".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_authentication_everybody_is_served_and_nobody_is_certified() -> Result<()> {
    let port = port(|rules| rules.authenticate = false).await?;
    for of in [None, Some((&*port.root, "cluster.local"))] {
        assert_eq!(port.ask(of, &[], (Variant::Delta, "bank")).await?, None);
        assert_eq!(port.certificate(of, "").await?, Err("16".to_owned()));
    }
    Ok(())
}
