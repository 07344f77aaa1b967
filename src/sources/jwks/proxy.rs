//! Keys by way of a proxy, where the environment names one (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
//!
//! What a proxy dials cannot be looked at from here. So names are resolved here too, and what leads to an address that is
//! never asked is not given to the proxy; a name that only the proxy can resolve is. Whatever comes by way of a proxy came
//! from outside: it leads to no private address.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::{self, Upgraded};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::addresses::{Gate, Led};

/// The proxies that an environment names.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http:` addresses (`HTTP_PROXY`); empty for none.
    pub http: String,
    /// For `https:` addresses (`HTTPS_PROXY`); empty for none.
    pub https: String,
    /// Hosts that are asked without one (`NO_PROXY`): names, their ends, addresses and ranges, `*` for all.
    pub without: String,
}

impl fmt::Debug for Proxies {
    // Addresses of proxies may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("without", &self.without).finish_non_exhaustive()
    }
}

impl Proxies {
    /// Which proxy is for which address.
    pub(super) fn matcher(&self) -> Matcher {
        Matcher::builder()
            .http(self.http.as_str())
            .https(self.https.as_str())
            .no(self.without.as_str())
            .build()
    }
}

type Result<T> = std::result::Result<T, String>;

/// Holds the addresses of a host against what may be asked, all of them: it is not known which one the proxy takes.
pub(super) async fn vet(gate: &Gate, host: &str, port: u16, led: Led) -> Result<()> {
    let found: Vec<IpAddr> = match host.parse() {
        Ok(address) => vec![address],
        // Names of the outside are often unknown inside.
        Err(_) => tokio::net::lookup_host((host, port)).await.into_iter().flatten().map(|a| a.ip()).collect(),
    };
    found.into_iter().find_map(|address| gate.refusal(address, led)).map_or(Ok(()), Err)
}

/// A connection to a proxy.
pub(super) async fn connect(proxy: &Intercept) -> Result<TcpStream> {
    let uri = proxy.uri();
    if uri.scheme_str() != Some("http") {
        let scheme = uri.scheme_str().unwrap_or_default();
        return Err(format!("the proxy is asked over http, and not over {scheme}"));
    }
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
    stream.map_err(|error| format!("the proxy {host}:{port} cannot be reached: {error}"))
}

/// A connection through a proxy to a host (CONNECT, RFC 9110 9.3.6).
pub(super) async fn tunnel(proxy: &Intercept, authority: &str) -> Result<TokioIo<Upgraded>> {
    let failed = |error: &dyn fmt::Display| format!("the proxy: {error}");
    let stream = connect(proxy).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // It ends with what is carried over it.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder().method(Method::CONNECT).uri(authority).header(HOST, authority);
    if let Some(known) = authorization(proxy) {
        request = request.header(PROXY_AUTHORIZATION, known);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if !answer.status().is_success() {
        return Err(failed(&format!("it answers {} to CONNECT", answer.status())));
    }
    upgrade::on(answer).await.map(TokioIo::new).map_err(|error| failed(&error))
}

/// Who asks the proxy, if its address says so.
pub(super) fn authorization(proxy: &Intercept) -> Option<HeaderValue> {
    proxy.basic_auth().cloned()
}

/// The whole address of a request that a proxy is to make, without what is not sent.
pub(super) fn whole(uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("http://{}{path}", uri.authority().map_or("", |authority| authority.as_str()))
}
