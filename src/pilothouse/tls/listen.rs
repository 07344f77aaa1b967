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

/// How long a client may take to begin, and how long its handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long one may take that begins while half of the turns are taken: who stops in the middle must not keep others out.
const HURRY: Duration = Duration::from_secs(4);
/// Handshakes at once: the fewer, the sooner each is done.
const HANDSHAKES: usize = 256;
/// Connections before or in their handshake; more clients wait in the system's queue, which is short.
const WAITING: usize = 16_384;
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
    let (waiting, room) = (Arc::new(Semaphore::new(WAITING)), Arc::new(Semaphore::new(HANDSHAKES)));
    let mut handshakes = JoinSet::new();
    while let Ok(place) = Arc::clone(&waiting).acquire_owned().await {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "cannot turn off Nagle's algorithm");
                }
                let (acceptor, sender, room) = (acceptor.clone(), sender.clone(), Arc::clone(&room));
                handshakes.spawn(async move {
                    let _place = place;
                    match handshake(socket, acceptor, &room).await {
                        // The listener may be gone by now.
                        Ok(stream) => drop(sender.send((stream, peer)).await),
                        Err(error) => tracing::debug!(%peer, %error, "TLS handshake"),
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

/// One handshake, when it is its turn: who says nothing takes none.
async fn handshake(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    room: &Semaphore,
) -> std::io::Result<TlsStream<TcpStream>> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    timeout(HANDSHAKE, socket.readable()).await.map_err(late)??;
    let _turn = room.acquire().await.map_err(std::io::Error::other)?;
    let patience = if room.available_permits() < HANDSHAKES / 2 { HURRY } else { HANDSHAKE };
    timeout(patience, acceptor.accept(socket)).await.map_err(late)?
}
