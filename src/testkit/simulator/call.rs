//! A call: a connection to a proxy and what is said on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Authorizer;

/// Where iptables sends what an app sends, unless the mesh says otherwise.
const OUTBOUND_PORT: u16 = 15001;
/// Where iptables sends what is sent to an app.
const INBOUND_PORT: u16 = 15006;

/// A connection that reaches a proxy, and what is said on it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where the proxy takes it.
    pub arrives: SocketAddr,
    /// Where the client wanted to go: another address where the connection was redirected.
    pub wanted: SocketAddr,
    /// The client's address.
    pub source: SocketAddr,
    /// The client's TLS.
    pub tls: Option<ClientTls>,
    /// It comes over QUIC, in UDP packets.
    pub quic: bool,
    /// What is said, inside of TLS if there is TLS.
    pub says: Says,
    /// What external authorizers say of it, where they are asked.
    pub authorizer: Authorizer,
}

/// What a client offers in a TLS handshake.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// Server name.
    pub sni: Option<String>,
    /// Application protocols, in the order of the client.
    pub alpn: Vec<String>,
    /// The URIs of the certificate that it shows when asked; none if it has none.
    pub certificate: Option<Vec<String>>,
}

/// What is said on a connection.
#[derive(Clone, Debug)]
pub enum Says {
    /// One HTTP request.
    Http(Request),
    /// Something else; empty if the client waits for the server to speak first.
    Bytes(Vec<u8>),
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2, with prior knowledge or by ALPN.
    Http2,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its version.
    pub version: Version,
    /// Its method.
    pub method: String,
    /// `:authority`, or the Host header.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// `http` or `https`; settled by the proxy that takes the request.
    pub scheme: String,
    /// All other headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Call {
    /// What an app sends to `wanted`, redirected to its sidecar.
    #[must_use]
    pub fn outbound(wanted: SocketAddr, says: impl Into<Says>) -> Self {
        Self { arrives: SocketAddr::new(loopback(wanted), OUTBOUND_PORT), ..Self::direct(wanted, says) }
    }

    /// What reaches a workload at `wanted`, redirected to its sidecar.
    #[must_use]
    pub fn inbound(wanted: SocketAddr, says: impl Into<Says>) -> Self {
        Self { arrives: SocketAddr::new(wanted.ip(), INBOUND_PORT), ..Self::direct(wanted, says) }
    }

    /// What is sent to a port of the proxy itself: a gateway, an HTTP proxy, a listener of a proxy without redirects.
    #[must_use]
    pub fn direct(wanted: SocketAddr, says: impl Into<Says>) -> Self {
        let source = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 40_000);
        Self {
            arrives: wanted,
            wanted,
            source,
            tls: None,
            quic: false,
            says: says.into(),
            authorizer: Authorizer::default(),
        }
    }

    /// The same from this address.
    #[must_use]
    pub fn from(mut self, source: IpAddr) -> Self {
        self.source.set_ip(source);
        self
    }

    /// The same inside TLS.
    #[must_use]
    pub fn over(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

fn loopback(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

impl ClientTls {
    /// TLS that asks for a server by its name.
    #[must_use]
    pub fn of(sni: &str) -> Self {
        Self { sni: Some(sni.to_owned()), ..Self::default() }
    }
}

impl Request {
    /// A GET over HTTP/1.1.
    #[must_use]
    pub fn get(authority: &str, path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The values of a header joined by commas; none if it is not there. `:authority`, `:method`, `:path` and `:scheme` are
    /// headers too.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        let all = self.values(name);
        (!all.is_empty()).then(|| all.join(","))
    }

    /// The values of a header, one for each time that it was sent: what matchers look at.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        match name {
            ":authority" | "host" => vec![&self.authority],
            ":method" => vec![&self.method],
            ":path" => vec![&self.path],
            ":scheme" => vec![&self.scheme],
            _ => self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect(),
        }
    }

    /// The path without its query.
    pub(super) fn plain_path(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }
}

impl From<Request> for Says {
    fn from(request: Request) -> Self {
        Self::Http(request)
    }
}

impl From<&[u8]> for Says {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}
