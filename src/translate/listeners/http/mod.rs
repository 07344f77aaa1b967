//! HTTP connection managers: one builder for the outbound, the inbound and the gateway side.
//!
//! A plan takes [`HttpDefaults`] once for a class and keeps them as a `Ref` in its keys; a builder makes a
//! [`Manager`] from them, sets what is particular, and calls
//! [`Manager::filter`]:
//!
//! ```text
//! let mut manager = Manager::new(&key.http, Side::Inbound);
//! manager.http2 = key.protocol.is_http2();
//! let filter = manager.filter("inbound_0.0.0.0_8080;".to_owned(), route);
//! ```
//!
//! Where a listener has several, [`Manager::common`] is encoded once for all that differ in their routes alone.
//!
//! Source: Istio `pilot/pkg/networking/core/listener.go`, `listener_builder.go`, `gateway.go`;
//! `shared/spec/xds.md` 4.7.

mod connection;
mod filters;
mod headers;
mod manager;
mod tracing;

use std::net::IpAddr;

use api::Duration;
use api::mesh_config::{ConnectionSettings, NormalizationType, PathNormalization, ProxyHeaders, Topology};
use model::mesh::Settings;
use model::{ProxyKind, Ref};

pub use filters::DnsCache;
pub(crate) use filters::filter as http_filter;
pub use manager::{Common, Manager, Route, Side};

use super::access_log::AccessLogs;
use crate::class::SharedView;
use tracing::Tracing;

/// What all HTTP connection managers of a class have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpDefaults {
    normalization: NormalizationType,
    http10: bool,
    idle_timeout: Option<Duration>,
    headers: ProxyHeaders,
    connection: Option<ConnectionSettings>,
    topology: Option<Topology>,
    tracing: Option<Tracing>,
    access_logs: Ref<AccessLogs>,
    proxy_100_continue: bool,
    sidecar_use_remote_address: bool,
    stateful_session: bool,
    internal_ranges: Vec<String>,
    internal_networks: bool,
}

impl HttpDefaults {
    /// Reads the mesh configuration, and the proxy's own where it has one.
    pub fn of(settings: &Settings, view: &SharedView, access_logs: &Ref<AccessLogs>) -> Self {
        let config = &*view.proxy_config;
        let PathNormalization { normalization } = settings.mesh.path_normalization;
        let router = view.kind == ProxyKind::Router;
        Self {
            normalization,
            http10: view.http10,
            idle_timeout: super::idle_timeout(view),
            headers: headers::projected(config),
            connection: connection::resolve(config, settings, router),
            topology: config.gateway_topology.clone().filter(|_| router),
            tracing: settings.mesh.enable_tracing.then(|| Tracing::of(config, &settings.features)),
            access_logs: access_logs.clone(),
            proxy_100_continue: settings.features.proxy_100_continue,
            sidecar_use_remote_address: settings.features.sidecar_use_remote_address,
            stateful_session: settings.features.persistent_session_filter,
            internal_ranges: internal_ranges(settings),
            internal_networks: settings.features.internal_networks,
        }
    }

    /// The limits that the proxy's configuration sets, those of its profile filled in.
    pub fn connection(&self) -> Option<&ConnectionSettings> {
        self.connection.as_ref()
    }
}

/// The address ranges of the mesh's networks, in the order of the addresses.
fn internal_ranges(settings: &Settings) -> Vec<String> {
    let networks = settings.networks.networks.values();
    let ranges = networks.flat_map(|n| &n.endpoints).filter_map(|e| e.from_cidr.clone());
    let mut ranges: Vec<String> = ranges.collect();
    ranges.sort_by_cached_key(|range| {
        let (address, length) = range.split_once('/').unwrap_or((range, ""));
        (address.parse::<IpAddr>().ok(), length.parse::<u8>().ok())
    });
    ranges
}
