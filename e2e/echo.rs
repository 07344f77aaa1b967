//! The app of a test pod: answers with what it saw, over HTTP/1.1, h2c, gRPC framing or raw TCP.

mod authorizer;
mod http;
mod listener;
mod tcp;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::tls::{self, Handshake, Identity};
pub use listener::Listener;
use listener::Stream;

/// One port of the app and what it speaks.
#[derive(Clone, Debug)]
pub struct Echo {
    port: u16,
    address: IpAddr,
    socket: Option<PathBuf>,
    speaks: Speaks,
}

#[derive(Clone, Debug)]
enum Speaks {
    Http,
    Https(Arc<ServerConfig>),
    Tcp { banner: bool },
}

/// Who the app says it is.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name of the pod.
    pub pod: String,
    /// Namespace of the pod.
    pub namespace: String,
}

/// What an app saw of one request; HTTP answers carry it as their JSON body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Name of the pod that answered.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// Request method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Host header or `:authority`.
    pub host: String,
    /// All headers; a repeated header has several values, in order.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The address and port that the connection came from.
    pub peer: SocketAddr,
    /// The address and port that the connection came to.
    pub local: SocketAddr,
    /// The TLS handshake that the app itself took part in; none where a sidecar or nobody did.
    pub tls: Option<Handshake>,
    /// The request's body.
    pub body: String,
}

/// What is known of a connection before its first request.
#[derive(Clone, Debug)]
struct Connection {
    peer: SocketAddr,
    local: SocketAddr,
    tls: Option<Handshake>,
}

impl Seen {
    /// The first value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.first().map(String::as_str)
    }

    /// The values of one key (`By`, `URI`, `Hash`, `DNS`) over all elements of `x-forwarded-client-cert`.
    #[must_use]
    pub fn client_certificate(&self, key: &str) -> Vec<String> {
        let elements = self.header("x-forwarded-client-cert").unwrap_or_default();
        elements
            .split([',', ';'])
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim_matches('"').to_owned())
            .collect()
    }
}

/// Counts what an app did, and changes how it behaves while it runs.
#[derive(Debug, Default)]
pub struct Control {
    requests: AtomicU64,
    connections: AtomicU64,
    // 0: answer 200.
    status: AtomicU16,
    delay_ms: AtomicU64,
    held: AtomicU64,
    gate: Notify,
}

impl Control {
    /// Requests that reached the app so far (over TCP: lines).
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Connections that the app accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// From now on answer every request with `status`; `None` for 200 again.
    pub fn answer_with(&self, status: Option<u16>) {
        self.status.store(status.unwrap_or(0), Ordering::Relaxed);
    }

    /// From now on wait so long before each answer.
    pub fn delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Requests that wait now because they asked for it (`hold=N`, see [`Echo::http`]).
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Answers all requests that wait; later ones wait again.
    pub fn release(&self) {
        self.gate.notify_waiters();
    }

    /// Waits until released; whoever gives up is no longer counted.
    async fn hold(&self) {
        let released = self.gate.notified();
        let _held = Held::count(&self.held);
        released.await;
    }

    /// Whether answers were asked to wait.
    pub(crate) fn is_slow(&self) -> bool {
        !self.current_delay().is_zero()
    }

    fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|&status| status != 0)
    }

    fn current_delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::Relaxed))
    }
}

/// One request that is held.
struct Held<'a>(&'a AtomicU64);

impl<'a> Held<'a> {
    fn count(held: &'a AtomicU64) -> Self {
        held.fetch_add(1, Ordering::Relaxed);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Echo {
    /// HTTP/1.1 and h2c (prior knowledge) on one port; gRPC-shaped requests get trailers. An external authorizer of gRPC, too,
    /// which refuses while it was told to [answer](Control::answer_with) with anything; one of HTTP it is by its answers. What a query asks for: see
    /// `echo/http.rs`; `hold=N` lets attempts of a proxy from the Nth on wait for [`Control::release`].
    #[must_use]
    pub fn http(port: u16) -> Self {
        Self::new(port, Speaks::Http)
    }

    /// As [`Echo::http`], but with TLS of the app's own.
    pub fn https(port: u16, identity: &Identity) -> Result<Self> {
        Ok(Self::new(port, Speaks::Https(tls::server(identity, None)?)))
    }

    /// As [`Echo::https`], for clients only that have a certificate under the root `clients` (PEM).
    pub fn https_for(port: u16, identity: &Identity, clients: &str) -> Result<Self> {
        Ok(Self::new(port, Speaks::Https(tls::server(identity, Some(clients))?)))
    }

    /// Raw TCP: each line comes back as `POD PEER LINE`; the client speaks first.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self::new(port, Speaks::Tcp { banner: false })
    }

    /// As [`Echo::tcp`], but the server speaks first: `220 POD ready`.
    #[must_use]
    pub fn tcp_with_banner(port: u16) -> Self {
        Self::new(port, Speaks::Tcp { banner: true })
    }

    /// Listen on this address instead of all.
    #[must_use]
    pub fn on(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// Listen on a Unix socket instead of the port; it is made here, and nothing may be there yet.
    #[must_use]
    pub fn at(mut self, socket: &Path) -> Self {
        self.socket = Some(socket.to_owned());
        self
    }

    fn new(port: u16, speaks: Speaks) -> Self {
        Self { port, address: Ipv4Addr::UNSPECIFIED.into(), socket: None, speaks }
    }

    /// The port that the app listens on; none for a socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.socket.is_none().then_some(self.port)
    }

    /// Opens the port or the socket; connections queue from here on.
    pub async fn listen(&self) -> Result<Listener> {
        match &self.socket {
            Some(path) => Listener::unix(path),
            None => Listener::tcp(SocketAddr::new(self.address, self.port)).await,
        }
    }

    /// Serves connections until the task is dropped.
    pub async fn serve(self, listener: Listener, workload: Workload, control: Arc<Control>) {
        loop {
            // Failures of accept are the peer's (gone already) or pass (no descriptors left).
            let Ok((stream, peer, local)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            control.connections.fetch_add(1, Ordering::Relaxed);
            let connection = Connection { peer, local, tls: None };
            tokio::spawn(self.speaks.clone().talk(
                stream,
                connection,
                workload.clone(),
                Arc::clone(&control),
            ));
        }
    }
}

impl Speaks {
    async fn talk(
        self,
        stream: Box<dyn Stream>,
        mut connection: Connection,
        workload: Workload,
        control: Arc<Control>,
    ) {
        match self {
            Self::Http => http::serve(stream, connection, workload, control).await,
            Self::Https(config) => {
                // A failed handshake is the client's to report.
                let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
                connection.tls = Some(Handshake::of(stream.get_ref().1));
                http::serve(stream, connection, workload, control).await;
            }
            Self::Tcp { banner } => tcp::serve(stream, connection.peer, &workload, &control, banner).await,
        }
    }
}

#[cfg(test)]
mod tests;
