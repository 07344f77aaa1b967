//! Clusters: what upstreams a proxy has (CDS).
//!
//! Source: Istio `pilot/pkg/networking/core/cluster*.go`; `shared/spec/xds.md` 2.

pub mod inbound;
pub mod outbound;

use envoy::config::cluster::v3::Cluster;

use crate::output::Built;

/// All that a cluster is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterKey {}

/// Builds a cluster from its key.
pub fn build(key: &ClusterKey) -> Built<Cluster> {
    match *key {}
}
