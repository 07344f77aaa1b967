//! What the operator may set of the ADS server.

use std::time::Duration;

use crate::protocol::Limits;

/// Settings of the server; the defaults are the reference's (spec/operations.md 6.6).
#[derive(Clone, Debug)]
pub struct Config {
    /// Concurrent streams per connection (`ISTIO_GPRC_MAXSTREAMS`).
    pub max_streams: u32,
    /// The longest request, in bytes (`ISTIO_GPRC_MAXRECVMSGSIZE`).
    pub max_request: usize,
    /// New streams per second (`PILOT_MAX_REQUESTS_PER_SECOND`); no limit unless set.
    pub streams_per_second: Option<f64>,
    /// Time without any frame after which a connection is pinged (`GRPC_KEEPALIVE_INTERVAL`).
    pub keepalive_interval: Duration,
    /// Time for the answer to that ping (`GRPC_KEEPALIVE_TIMEOUT`).
    pub keepalive_timeout: Duration,
    /// The age at which a connection is told to go away (`--keepaliveMaxServerConnectionAge`), spread by a tenth either
    /// way; never unless set.
    pub max_connection_age: Option<Duration>,
    /// How long a connection that was told to go away may go on.
    pub max_connection_age_grace: Duration,
    /// Connections at once; who comes when there are so many is sent away, and who has as many as are left.
    pub max_connections: usize,
    /// How long a connection, and each of its streams, may be there without having asked anything; and how long a request
    /// may take to come.
    pub first_request: Duration,
    /// How long a request of the router may take, with all that it waits for.
    pub other_request: Duration,
    /// Requests of the router at once on a connection; more wait before their bodies are read.
    pub other_requests: usize,
    /// The name of this control plane in every response; empty for none.
    pub control_plane: String,
    /// For how long what would name something that does not exist yet keeps its last form; zero for not at all.
    pub hold_for: Duration,
    /// The longest waits of make before break.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 100_000,
            max_request: 4 << 20,
            streams_per_second: None,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            max_connection_age: None,
            max_connection_age_grace: Duration::from_secs(10),
            max_connections: 65_536,
            first_request: Duration::from_secs(20),
            other_request: Duration::from_secs(60),
            other_requests: 256,
            control_plane: String::new(),
            hold_for: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }
}
