//! A listener whose connections have their handshake behind them: slow or foreign clients hold up nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::Turns;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use xds::server::Places;

/// How long a client may take to begin, and how long its handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long one may take that begins while more than half of the turns are taken: who stops in the middle must not keep others
/// out.
const HURRY: Duration = Duration::from_secs(4);
/// Handshakes at once: the fewer, the sooner each is done.
const HANDSHAKES: usize = 256;
/// Connections before or in their handshake.
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
    pub(crate) fn new(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
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

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// What clients share until their handshakes are done: no address takes more than it leaves to others.
struct Door {
    acceptor: TlsAcceptor,
    waiting: Places,
    turns: Turns,
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, sender: mpsc::Sender<Accepted>) {
    let door = Door { acceptor, waiting: Places::new(WAITING), turns: Turns::leaving_some(HANDSHAKES) };
    let door = Arc::new(door);
    let mut handshakes = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Who has no place is told so by the end of its connection.
                if let Ok(place) = door.waiting.take(Some(peer.ip())) {
                    let (door, sender) = (Arc::clone(&door), sender.clone());
                    handshakes.spawn(async move {
                        let _place = place;
                        match door.handshake(socket, peer).await {
                            // The listener may be gone by now.
                            Ok(stream) => drop(sender.send((stream, peer)).await),
                            Err(error) => tracing::debug!(%peer, %error, "TLS handshake"),
                        }
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
        while handshakes.try_join_next().is_some() {}
    }
}

impl Door {
    /// One handshake, when it is its turn: who says nothing takes none.
    async fn handshake(&self, socket: TcpStream, peer: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot turn off Nagle's algorithm");
        }
        timeout(HANDSHAKE, socket.readable()).await.map_err(late)??;
        let _turn = self.turns.take(Some(peer.ip())).await;
        let patience = if self.turns.free() < HANDSHAKES / 2 { HURRY } else { HANDSHAKE };
        timeout(patience, self.acceptor.accept(socket)).await.map_err(late)?
    }
}
