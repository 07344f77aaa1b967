//! Sockets and connections: accepting, keepalive, age, and the way out.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::Clients;
use super::clock::Clock;
use super::config::Config;
use super::debug_types::DebugTypes;
use super::doubts::Doubts;
use super::engine::{self, EngineHandle};
use super::gate::Gate;
use super::places::Places;
use super::rate::Rate;
use super::recent::Recent;
use super::registrar::Registrar;
use super::service::{self, Others, Shared};
use super::status::Status;
use crate::frame::Pages;
use crate::generate::{Generate, Peer};
use crate::metrics::Metrics;
use crate::protocol::NameLists;

/// Sent bytes that one stream may have waiting in the transport.
const SEND_BUFFER: usize = 128 * 1024;

/// Pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The ADS server. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    drain: Drain,
    connections: Arc<AtomicU64>,
    /// For all connections that are not refused.
    room: Places,
}

/// What others do for the server, where there is somebody.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Makes debug pages.
    pub debug: Option<Arc<dyn DebugTypes>>,
    /// Registers clients.
    pub registrar: Option<Arc<dyn Registrar>>,
}

/// The way out of a server: connections end at once, or when they are done. Clones are the same.
#[derive(Clone, Default)]
struct Drain {
    begun: CancellationToken,
    over: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts a server and its engine thread. It answers `Unavailable` until [`EngineHandle::update`] brought the
    /// first snapshot.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start<G: Generate>(
        generate: Arc<G>,
        config: Config,
        metrics: Metrics,
        hooks: Hooks,
    ) -> io::Result<(Self, EngineHandle<G>)> {
        let clock = Clock::new();
        let (backend, engine) = engine::start(generate, clock, config.hold_for)?;
        let shared = Shared {
            rate: Rate::new(config.streams_per_second),
            config,
            metrics,
            clients: Clients::new(clock),
            clock,
            recent: Recent::default(),
            doubts: Doubts::default(),
            names: NameLists::default(),
            pages: Pages::default(),
            backend,
            hooks,
        };
        let room = Places::new(shared.config.max_connections);
        let (drain, connections) = (Drain::default(), Arc::default());
        let server = Self { shared: Arc::new(shared), drain, connections, room };
        Ok((server, engine))
    }

    /// All streams.
    pub fn clients(&self) -> &Clients {
        &self.shared.clients
    }

    /// Serves plaintext HTTP/2 on a listener until the server is shut down. Streams pass `gate`, if there is one; paths that
    /// are not ADS go to `router`.
    pub async fn listen(&self, listener: TcpListener, gate: Option<Arc<dyn Gate>>, router: Router) {
        loop {
            let accepted = tokio::select! {
                () = self.drain.begun.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, address)) => {
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%address, %error, "cannot turn off Nagle's algorithm");
                    }
                    let peer = Peer { address: Some(address), ..Peer::default() };
                    let (server, gate, router) = (self.clone(), gate.clone(), router.clone());
                    self.drain.tasks.spawn(async move { server.serve(socket, peer, gate, router).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection, which may be of TLS, until it ends. Without a gate, streams are of the identities of `peer`;
    /// requests for `router` have `peer` among their extensions.
    ///
    /// Spawn it with [`Server::spawn`] if a shutdown should wait for it.
    pub async fn serve<C>(&self, connection: C, peer: Peer, gate: Option<Arc<dyn Gate>>, router: Router)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_place) = self.room.take(peer.address.map(|address| address.ip())) else {
            self.shared.metrics.refused_connections.inc();
            return;
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let config = &self.shared.config;
        let asked = CancellationToken::new();
        let service = {
            let (shared, peer, asked) = (Arc::clone(&self.shared), peer.clone(), asked.clone());
            let others = Others { router, places: Arc::new(Semaphore::new(config.other_requests)) };
            service_fn(move |request| {
                asked.cancel();
                let from = (number, peer.clone(), gate.clone());
                let answer = service::serve(Arc::clone(&shared), from, others.clone(), request);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            })
        };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(config.keepalive_interval))
            .keep_alive_timeout(config.keepalive_timeout)
            .max_concurrent_streams(config.max_streams)
            .max_send_buf_size(SEND_BUFFER);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(connection), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.drain.begun.cancelled() => None,
            () = self.of_age(number) => None,
            () = silence(&asked, config.first_request) => {
                tracing::debug!(address = ?peer.address, "a connection that asks nothing is closed");
                return;
            }
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                self.shared.clients.close_connection(
                    number,
                    &Status::unavailable("this connection is closing: connect again"),
                );
                tokio::select! {
                    ended = connection => ended,
                    () = self.drain.over.cancelled() => return,
                    () = self.past_grace() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(address = ?peer.address, %error, "connection ended");
        }
    }

    /// Ends when the server is told to shut down: no more connections are to be accepted then.
    pub async fn ending(&self) {
        self.drain.begun.cancelled().await;
    }

    /// Spawns a task that a shutdown waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.drain.tasks.spawn(task);
    }

    /// Tells all clients to go, and waits until they are gone, or for as long as `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        self.drain.begun.cancel();
        self.shared
            .clients
            .close_all(&Status::unavailable("the control plane is shutting down: connect again"));
        self.drain.tasks.close();
        if tokio::time::timeout(deadline, self.drain.tasks.wait()).await.is_err() {
            tracing::info!(clients = self.shared.clients.len(), "clients did not go in time");
            self.drain.over.cancel();
            self.drain.tasks.wait().await;
        }
    }

    /// Ends when a connection has reached its greatest age.
    async fn of_age(&self, number: u64) {
        match self.shared.config.max_connection_age {
            Some(age) => tokio::time::sleep(spread(age, number)).await,
            None => std::future::pending().await,
        }
    }

    /// Ends when a connection that was told to go has had its time; a shutdown has a deadline of its own.
    async fn past_grace(&self) {
        if self.drain.begun.is_cancelled() {
            std::future::pending().await
        } else {
            tokio::time::sleep(self.shared.config.max_connection_age_grace).await;
        }
    }
}

/// Ends when nothing was asked for so long; never if something was.
async fn silence(asked: &CancellationToken, limit: Duration) {
    if tokio::time::timeout(limit, asked.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}

/// An age up to a tenth less or more, so that connections that came together do not go together.
fn spread(age: Duration, number: u64) -> Duration {
    let part = RandomState::new().hash_one(number) % 2001;
    age.mul_f64(0.9 + part as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::spread;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let age = Duration::from_secs(1800);
        let ages: Vec<_> = (0..100).map(|number| spread(age, number)).collect();
        assert!(ages.iter().all(|a| (age.mul_f64(0.899)..age.mul_f64(1.101)).contains(a)));
        assert!(ages.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
