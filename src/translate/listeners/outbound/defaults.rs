//! What all outbound listeners of a class have in common.

use api::Duration;
use model::{ProxyKind, Ref};

use crate::context::Context;
use crate::listeners::access_log::AccessLogs;
use crate::listeners::http::HttpDefaults;
use crate::listeners::{self, shape};

/// The shared part of the keys of outbound listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutboundDefaults {
    /// What is logged.
    pub access_logs: Ref<AccessLogs>,
    /// Time without data after which TCP connections are closed, as the proxy's metadata say.
    pub idle_timeout: Option<Duration>,
    /// Time to find the protocol of a connection.
    pub detection_timeout: Duration,
    /// Connections are spread exactly over the worker threads.
    pub exact_balance: bool,
    /// Connections taken at a time by listeners that bind; 0 for Envoy's default.
    pub accepts_per_event: u32,
    /// Time for a transport socket to connect, in milliseconds; 0 for none.
    pub connect_timeout_ms: u64,
    /// Buffer of a gateway's connection in bytes: sidecars leave Envoy's, as with the reference.
    pub buffer_limit: Option<u32>,
    /// HTTP/1.0 is looked for when connections are inspected.
    pub http10: bool,
    /// What HTTP connection managers have in common.
    pub http: Ref<HttpDefaults>,
}

impl OutboundDefaults {
    /// Those of a class.
    pub fn of(context: &Context<'_>) -> Self {
        let (settings, view) = (context.settings(), context.view);
        let access_logs = Ref::new(AccessLogs::of(&settings.mesh));
        let http = HttpDefaults::of(settings, view, &access_logs);
        Self {
            idle_timeout: listeners::idle_timeout(view),
            detection_timeout: settings.mesh.protocol_detection_timeout.unwrap_or(Duration::ZERO),
            exact_balance: view.outbound_exact_balance,
            accepts_per_event: settings.features.max_connections_per_event,
            connect_timeout_ms: settings.features.transport_socket_connect_timeout_ms,
            buffer_limit: listeners::buffer_limit(&http).filter(|_| view.kind == ProxyKind::Router),
            http10: settings.features.http10,
            http: Ref::new(http),
            access_logs,
        }
    }

    /// The time that the transport socket of a chain has to connect, if it is limited.
    pub(in crate::listeners) fn connect_timeout(&self) -> Option<envoy::google::protobuf::Duration> {
        let limit = self.connect_timeout_ms;
        (limit > 0).then(|| shape::duration(Duration::from_millis(limit)))
    }
}
