//! Clusters: what upstreams a proxy has (CDS).
//!
//! Source: Istio `pilot/pkg/networking/core/cluster*.go`; `shared/spec/xds.md` 2.

pub mod inbound;
pub mod names;
pub mod outbound;
pub mod policy;
pub mod sni_dnat;

mod balancer;
mod build;
mod discovery;
pub(crate) mod draft;
mod fixed;
pub(crate) mod metadata;
mod outlier;
pub(crate) mod pool;
mod tls;

use envoy::config::cluster::v3::Cluster;
use model::Ref;
use model::mesh::Settings;

use crate::output::Built;

pub(crate) use balancer::sends_unhealthy;
pub(crate) use discovery::{CARES, lookup_family};
pub use fixed::{ALLOW_ANY_DYNAMIC_DNS, BLACK_HOLE, DynamicDnsKey, PASSTHROUGH, PassthroughKey};
pub(crate) use tls::is_foreign;

/// All that a cluster is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterKey {
    /// One port of a service, or a subset of it.
    Outbound(outbound::OutboundKey),
    /// Drops everything.
    BlackHole(Ref<Settings>),
    /// The server of secrets beside the proxy.
    SecretServer(Ref<Settings>),
    /// The address that the client asked for.
    Passthrough(PassthroughKey),
    /// A port that the workload serves.
    Inbound(inbound::InboundKey),
    /// The workload's own address that a client asked for.
    InboundPassthrough(inbound::InboundPassthroughKey),
    /// The host that the client asked for.
    AllowAnyDynamicDns(DynamicDnsKey),
}

impl ClusterKey {
    fn settings(&self) -> &Settings {
        match self {
            Self::BlackHole(settings) | Self::SecretServer(settings) => settings,
            Self::Passthrough(key) => &key.settings,
            Self::Outbound(key) => &key.settings,
            Self::Inbound(key) => &key.settings,
            Self::InboundPassthrough(key) => &key.settings,
            Self::AllowAnyDynamicDns(key) => &key.settings,
        }
    }
}

/// Builds a cluster from its key.
pub fn build(key: &ClusterKey) -> Built<Cluster> {
    let mut built = plain(key);
    if !key.settings().features.disable_track_remaining {
        pool::track_remaining(&mut built.message);
    }
    built
}

fn plain(key: &ClusterKey) -> Built<Cluster> {
    match key {
        ClusterKey::Outbound(key) => build::cluster(key),
        ClusterKey::BlackHole(settings) => Built::new(fixed::black_hole(settings), Vec::new()),
        ClusterKey::SecretServer(settings) => Built::new(fixed::secret_server(settings), Vec::new()),
        ClusterKey::Passthrough(key) => Built::new(fixed::passthrough(key), Vec::new()),
        ClusterKey::Inbound(key) => inbound::cluster(key),
        ClusterKey::InboundPassthrough(key) => Built::new(inbound::passthrough(key), Vec::new()),
        ClusterKey::AllowAnyDynamicDns(key) => fixed::allow_any_dynamic_dns(key),
    }
}
