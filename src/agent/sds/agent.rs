//! The agent's life: socket, serving while the certificate is asked for and renewed, end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ca::SpiffeId;
use envoy::service::secret::v3::secret_discovery_service_server::SecretDiscoveryServiceServer;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::info;

use super::issuer::Issuer;
use super::service::Sds;
use super::store::Store;
use super::workload::{Grace, Workload};
use crate::socket::{self, Socket, SocketError};
use crate::{Clock, SystemClock};

/// How long clients have to go after the end was announced.
const DRAIN: Duration = Duration::from_secs(5);

/// What an agent serves, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who issues certificates.
    pub issuer: Issuer,
    /// The Unix socket.
    pub socket: PathBuf,
    /// Whose certificate.
    pub identity: SpiffeId,
    /// Lifetime that is asked for.
    pub lifetime: Duration,
    /// When a certificate is renewed.
    pub grace: Grace,
    /// How often the files of file secrets and of roots are read again; 1 s is a good value.
    pub file_poll: Duration,
}

/// Why an agent did not start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No socket could be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The gRPC server failed.
    #[error("the SDS server failed: {0}; restart the agent")]
    Server(#[from] tonic::transport::Error),
}

/// An agent with its socket open. Once [`Agent::run`] is polled it asks for the certificate, and answers as soon as it has one.
/// Where another server has the socket already, it does nothing but wait for its end.
#[derive(Debug)]
pub struct Agent {
    workload: Workload,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    file_poll: Duration,
    /// None if it is another's.
    opened: Option<(Socket, UnixListener)>,
}

impl Agent {
    /// Opens the socket; time is that of the machine's clock.
    ///
    /// # Errors
    /// [`AgentError`]; must be called inside a tokio runtime.
    pub fn start(config: Config) -> Result<Self, AgentError> {
        Self::start_with_clock(config, Arc::new(SystemClock))
    }

    /// As [`Agent::start`], by another clock.
    ///
    /// # Errors
    /// [`AgentError`]; must be called inside a tokio runtime.
    pub fn start_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self, AgentError> {
        let Config { issuer, socket, identity, lifetime, grace, file_poll } = config;
        let workload = Workload { issuer, identity, lifetime, grace, poll: file_poll };
        let opened = socket::open(&socket)?;
        if opened.is_none() {
            let socket = socket.display();
            info!(%socket, "another server has this socket: Envoy has its certificates from there, and none is asked for");
        }
        Ok(Self { workload, store: Store::new(), clock, file_poll, opened })
    }

    /// Serves until `shutdown`, then ends the open streams and removes the socket.
    ///
    /// # Errors
    /// [`AgentError::Server`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AgentError> {
        let Self { workload, store, clock, file_poll, opened } = self;
        let Some((socket, listener)) = opened else {
            shutdown.cancelled().await;
            return Ok(());
        };
        info!(identity = %workload.identity, "serving SDS");
        let sds =
            Sds { store: store.clone(), identity: workload.identity.clone(), shutdown: shutdown.clone() };
        let server = Server::builder()
            .add_service(SecretDiscoveryServiceServer::new(sds))
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown.cancelled());
        let renewal = workload.keep(&store, &*clock);
        let files = async {
            loop {
                tokio::time::sleep(file_poll).await;
                store.poll().await;
            }
        };
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let result = tokio::select! {
            result = server => result.map_err(AgentError::from),
            () = drained => Ok(()),
            () = renewal => Ok(()),
            () = files => Ok(()),
        };
        drop(socket);
        result
    }
}
