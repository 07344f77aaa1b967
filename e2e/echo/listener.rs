//! Where the app takes connections: a TCP port or a Unix socket.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// What stands for the addresses of a connection that has none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// An open place for connections.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A connection in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, where it came from and where it came to.
pub(super) type Accepted = (Box<dyn Stream>, SocketAddr, SocketAddr);

impl Listener {
    pub(super) async fn tcp(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        Ok(Self::Tcp(listener))
    }

    /// For every user of the world, as a volume shared by the containers of a pod would be.
    pub(super) fn unix(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
        Ok(Self::Unix(listener))
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let local = stream.local_addr()?;
                Ok((Box::new(stream), peer, local))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), NOWHERE, NOWHERE))
            }
        }
    }
}
