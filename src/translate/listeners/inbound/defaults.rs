//! What all inbound listeners of a workload have in common.

use api::Duration;
use api::istio::HttpRetry;
use model::Ref;

use crate::authz::Policies;
use crate::class::OwnView;
use crate::context::Context;
use crate::jwt::{self, Jwt};
use crate::listeners;
use crate::listeners::access_log::AccessLogs;
use crate::listeners::http::HttpDefaults;
use crate::listeners::outbound::Wildcard;
use crate::tls::downstream::MeshServer;

/// The shared part of the keys of inbound listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundDefaults {
    /// What is logged.
    pub access_logs: Ref<AccessLogs>,
    /// Time without data after which TCP connections are closed, as the proxy's metadata say.
    pub idle_timeout: Option<Duration>,
    /// Time to find the protocol of a connection.
    pub detection_timeout: Duration,
    /// Connections are spread exactly over the worker threads.
    pub exact_balance: bool,
    /// Connections taken at a time; 0 for Envoy's default.
    pub accepts_per_event: u32,
    /// HTTP/1.0 is looked for when connections are inspected.
    pub http10: bool,
    /// Statistics of MongoDB are made.
    pub mongo: bool,
    /// Redis is routed by key.
    pub redis: bool,
    /// The pattern that names TCP statistics; empty for the cluster's name.
    pub stat_pattern: String,
    /// The unspecified address of the proxy's families.
    pub wildcard: Wildcard,
    /// Listeners bind to all families of the proxy.
    pub dual_stack: bool,
    /// How mesh mTLS is taken.
    pub tls: MeshServer,
    /// Who may do what.
    pub authz: Ref<Policies>,
    /// Retries of inbound routes, if the mesh says any.
    pub retries: Option<Ref<HttpRetry>>,
    /// Which tokens of requests are verified.
    pub jwt: Option<Ref<Jwt>>,
    /// What HTTP connection managers have in common.
    pub http: Ref<HttpDefaults>,
}

impl InboundDefaults {
    /// Those of a workload.
    pub fn of(context: &Context<'_>, own: &OwnView) -> Self {
        let (settings, view) = (context.settings(), context.view);
        let access_logs = Ref::new(AccessLogs::of(&settings.mesh));
        let http = HttpDefaults::of(settings, view, &access_logs);
        let features = &settings.features;
        Self {
            idle_timeout: listeners::idle_timeout(view),
            detection_timeout: settings.mesh.protocol_detection_timeout.unwrap_or(Duration::ZERO),
            exact_balance: own.inbound_exact_balance,
            accepts_per_event: features.max_connections_per_event,
            http10: features.http10,
            mongo: features.mongo_filter,
            redis: features.redis_filter,
            stat_pattern: settings.mesh.inbound_cluster_stat_name.clone(),
            wildcard: Wildcard::of(view.families).clone(),
            dual_stack: features.dual_stack,
            tls: MeshServer::of(settings, own),
            authz: Ref::new(Policies::of(context.mesh, own)),
            retries: settings.mesh.default_inbound_http_retry_policy.clone().map(Ref::new),
            jwt: jwt::plan(context.mesh, own, false),
            http: Ref::new(http),
            access_logs,
        }
    }
}
