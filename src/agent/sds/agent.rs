//! The agent's life: first certificate, socket, serving with renewal, end.

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

use super::service::Sds;
use super::store::Store;
use super::workload::{Due, Workload};
use crate::socket::{self, Socket, SocketError};
use crate::{Clock, SystemClock};

/// How long clients have to go after the end was announced.
const DRAIN: Duration = Duration::from_secs(5);

/// What an agent serves, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// State folder of the development root; made if missing.
    pub state: PathBuf,
    /// The Unix socket.
    pub socket: PathBuf,
    /// Whose certificate.
    pub identity: SpiffeId,
    /// Lifetime of a certificate; it is renewed at half of it.
    pub lifetime: Duration,
    /// How often the files of file secrets are read again; 1 s is a good value.
    pub file_poll: Duration,
}

/// Why an agent did not start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No certificate could be made.
    #[error("no certificate for the workload: {0}")]
    Certificate(#[from] ca::Error),
    /// No socket could be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The gRPC server failed.
    #[error("the SDS server failed: {0}; restart the agent")]
    Server(#[from] tonic::transport::Error),
}

/// An agent with its certificate made and its socket open; it answers once [`Agent::run`] is polled.
#[derive(Debug)]
pub struct Agent {
    workload: Workload,
    due: Due,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    file_poll: Duration,
    socket: Socket,
    listener: UnixListener,
}

impl Agent {
    /// Makes the first certificate and opens the socket, by the machine's clock.
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
        let Config { state, socket, identity, lifetime, file_poll } = config;
        let workload = Workload { state, identity, lifetime };
        let first = workload.start(clock.now())?;
        let store = Store::new();
        store.put(first.secrets);
        let (socket, listener) = socket::open(&socket)?;
        Ok(Self { workload, due: first.due, store, clock, file_poll, socket, listener })
    }

    /// Serves until `shutdown`, then ends the open streams and removes the socket.
    ///
    /// # Errors
    /// [`AgentError::Server`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AgentError> {
        let Self { workload, due, store, clock, file_poll, socket, listener } = self;
        info!(identity = %workload.identity, "serving SDS");
        let sds =
            Sds { store: store.clone(), identity: workload.identity.clone(), shutdown: shutdown.clone() };
        let server = Server::builder()
            .add_service(SecretDiscoveryServiceServer::new(sds))
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown.cancelled());
        let renewal = workload.renew(&store, clock, due);
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
