//! A listener whose connections have their handshake behind them: slow or foreign clients hold up nobody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; more clients wait in the system's queue.
const HANDSHAKES: usize = 256;
/// Pause after a connection that could not be accepted, as when there are too many.
const PAUSE: Duration = Duration::from_millis(100);

type Accepted = (TlsStream<TcpStream>, SocketAddr);

/// Accepts TLS connections. Dropped, it accepts no more.
pub(crate) struct TlsListener {
    accepted: mpsc::Receiver<Accepted>,
    local: SocketAddr,
    _task: JoinSet<()>,
}

impl TlsListener {
    /// On a bound socket.
    ///
    /// # Errors
    /// The system does not know the socket's address.
    pub(crate) fn new(listener: TcpListener, acceptor: TlsAcceptor) -> std::io::Result<Self> {
        let local = listener.local_addr()?;
        let (sender, accepted) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, acceptor, sender));
        Ok(Self { accepted, local, _task: task })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Accepted {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // Cannot be while the task runs, which it does as long as this value is there.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.local)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, sender: mpsc::Sender<Accepted>) {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    let mut handshakes = JoinSet::new();
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                handshakes.spawn(async move {
                    let _permit = permit;
                    match timeout(HANDSHAKE, acceptor.accept(socket)).await {
                        // The listener may be gone by now.
                        Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake takes too long"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
        while handshakes.try_join_next().is_some() {}
    }
}
