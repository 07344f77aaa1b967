//! One fetch of keys over HTTP, held to limits: time, length, redirects, and addresses, which are looked at when they
//! are dialled, after names were resolved.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use model::mesh::JwksSource;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::addresses::{Gate, Internal, Led, led_by};
use super::proxy::{self, Proxies};
use super::{keys, trust};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Where an issuer says where its keys are (OpenID Connect Discovery 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// How keys are fetched.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether addresses of the cluster are asked.
    pub internal: Internal,
    /// Ranges of addresses that are not asked.
    pub blocked: Vec<IpNet>,
    /// A file with root certificates beside the machine's own.
    pub extra_roots: PathBuf,
    /// Whether any certificate is taken.
    pub insecure: bool,
    /// By way of whom.
    pub proxies: Proxies,
}

/// Fetches keys.
#[derive(Debug)]
pub struct Fetcher {
    gate: Gate,
    tls: Arc<ClientConfig>,
    proxies: Matcher,
}

/// Why there are no keys; for operators.
type Result<T> = std::result::Result<T, String>;

impl Fetcher {
    /// With these options.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(options: Options) -> std::result::Result<Self, rustls::Error> {
        let tls = trust::config(&options.extra_roots, options.insecure)?;
        let gate = Gate { internal: options.internal, blocked: options.blocked };
        Ok(Self { gate, tls, proxies: options.proxies.matcher() })
    }

    /// The keys of a source as one text, within `patience`.
    ///
    /// # Errors
    /// They cannot be had; for operators.
    pub async fn fetch(&self, source: &JwksSource, patience: Duration) -> Result<Arc<str>> {
        let late = |_| Err(format!("no answer within {patience:?}"));
        timeout(patience, self.keys(source)).await.unwrap_or_else(late)
    }

    /// What stands at an address that the operator of the mesh wrote, within `patience`.
    ///
    /// # Errors
    /// It cannot be had; for operators.
    pub(crate) async fn read(&self, uri: &str, patience: Duration) -> Result<Bytes> {
        let late = |_| Err(format!("{uri}: no answer within {patience:?}"));
        let read = async { Ok(self.get(uri, Led::Inside).await?.0) };
        timeout(patience, read).await.unwrap_or_else(late)
    }

    async fn keys(&self, source: &JwksSource) -> Result<Arc<str>> {
        let (uri, led) = match &*source.uri {
            "" => {
                let issuer = source.issuer.strip_suffix('/').unwrap_or(&source.issuer);
                let (body, led) = self.get(&format!("{issuer}{DISCOVERY}"), Led::Inside).await?;
                (keys::discovered(&body)?, led)
            }
            uri => (uri.to_owned(), Led::Inside),
        };
        let (body, _) = self.get(&uri, led).await?;
        keys::read(&body).map_err(|error| format!("{uri}: {error}"))
    }

    /// What stands at an address, and who leads on from there.
    async fn get(&self, uri: &str, mut led: Led) -> Result<(Bytes, Led)> {
        let mut uri: Uri = uri.parse().map_err(|_| format!("{uri:?} is no address"))?;
        for _ in 0..=REDIRECTS {
            let shown = uri.clone();
            let told = |error: String| format!("{shown}: {error}");
            let (answer, leads, _connection) = self.ask(&uri, led).await.map_err(&told)?;
            led = leads;
            if answer.status().is_redirection() {
                let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to.ok_or_else(|| told(format!("it answers {} and not where", answer.status())))?;
                uri = joined(&uri, to).map_err(&told)?;
                continue;
            }
            if !answer.status().is_success() {
                return Err(told(format!("it answers {}", answer.status())));
            }
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| told(format!("the answer cannot be read: {error}")))?;
            return Ok((body.to_bytes(), led));
        }
        Err(format!("{uri}: more than {REDIRECTS} redirects lead here"))
    }

    /// One request: the answer, where it may lead, and the connection that its body comes over.
    async fn ask(&self, uri: &Uri, led: Led) -> Result<(Response<Incoming>, Led, Running)> {
        let host = uri.host().ok_or("there is no host in it")?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it is neither http nor https".to_owned()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let authority = uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let request = |to: &str| {
            let request = Request::get(to)
                .header(HOST, &authority)
                .header(ACCEPT, "application/json")
                .header(USER_AGENT, "pilothouse");
            request.body(Empty::new()).map_err(|error| error.to_string())
        };
        if let Some(proxy) = self.proxies.intercept(uri) {
            proxy::vet(&self.gate, bare, port, led).await?;
            let (answer, running) = if secure {
                let stream = proxy::tunnel(&proxy, &format!("{host}:{port}")).await?;
                exchange(self.secured(bare, stream).await?, request(path)?).await?
            } else {
                let mut request = request(&proxy::whole(uri))?;
                request
                    .headers_mut()
                    .extend(proxy::authorization(&proxy).map(|known| (PROXY_AUTHORIZATION, known)));
                exchange(proxy::connect(&proxy).await?, request).await?
            };
            return Ok((answer, Led::Outside, running));
        }
        let (stream, from) = self.dial(bare, port, led).await?;
        let (answer, running) = if secure {
            exchange(self.secured(bare, stream).await?, request(path)?).await?
        } else {
            exchange(stream, request(path)?).await?
        };
        Ok((answer, led_by(from), running))
    }

    /// TLS with a host.
    async fn secured<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        tls.map_err(|error| crate::tls::told(format!("TLS: {error}")))
    }

    /// A connection to the first address of a host that may be asked and answers.
    async fn dial(&self, host: &str, port: u16, led: Led) -> Result<(TcpStream, IpAddr)> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> =
            found.map_err(|error| format!("{host} cannot be resolved: {error}"))?.collect();
        let mut last = format!("{host} has no address");
        for address in found {
            if let Some(refusal) = self.gate.refusal(address.ip(), led) {
                last = refusal;
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((stream, address.ip())),
                Err(error) => last = format!("{address} cannot be reached: {error}"),
            }
        }
        Err(last)
    }
}

/// A connection that is read from; it ends with this.
type Running = AbortOnDropHandle<hyper::Result<()>>;

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<(Response<Incoming>, Running)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| format!("HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let running = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(failed)?;
    Ok((answer, running))
}

/// Where a redirect leads: a whole address, or a path of the same server. Never from TLS to plain text.
fn joined(from: &Uri, to: &str) -> Result<Uri> {
    let bad = |_| format!("it leads to {to:?}, which is no address");
    let whole: Uri = match (to.starts_with("//"), to.starts_with('/')) {
        (true, _) => format!("{}:{to}", from.scheme_str().unwrap_or("https")).parse().map_err(bad)?,
        (false, true) => {
            let mut parts = from.clone().into_parts();
            parts.path_and_query =
                Some(to.parse().map_err(|_| format!("it leads to {to:?}, which is no path"))?);
            Uri::from_parts(parts).map_err(|_| format!("it leads to {to:?}, which is no address"))?
        }
        (false, false) => to.parse().map_err(bad)?,
    };
    if from.scheme_str() == Some("https") && whole.scheme_str() != Some("https") {
        return Err(format!("it leads from TLS to {to:?}, which is not followed"));
    }
    Ok(whole)
}
