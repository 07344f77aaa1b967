//! Where a cluster's calls go.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, CustomClusterType, DiscoveryType, LbConfig};
use envoy::config::endpoint::v3::ClusterLoadAssignment;

use super::resources::Resources;
use super::{Call, Request, Upstream, balance, known, upstream_tls};

const USED: &[&str] = &[
    "name",
    "type",
    "cluster_type",
    "eds_cluster_config",
    "load_assignment",
    "lb_policy",
    "original_dst_lb_config",
    "common_lb_config",
    "transport_socket",
    "transport_socket_matches",
    "typed_extension_protocol_options",
];
const INERT: &[&str] = &[
    "alt_stat_name",
    "connect_timeout",
    "per_connection_buffer_limit_bytes",
    "circuit_breakers",
    "max_requests_per_connection",
    "http2_protocol_options",
    "dns_refresh_rate",
    "dns_jitter",
    "dns_failure_refresh_rate",
    "respect_dns_ttl",
    "dns_lookup_family",
    "typed_dns_resolver_config",
    "cleanup_interval",
    "outlier_detection",
    "upstream_bind_config",
    "upstream_connection_options",
    "metadata",
    "filters",
    "round_robin_lb_config",
    "least_request_lb_config",
    "ring_hash_lb_config",
    "maglev_lb_config",
    "close_connections_on_host_health_failure",
    "ignore_health_on_host_removal",
    "track_cluster_stats",
];

/// Why a cluster takes a call nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// There is no such cluster.
    Unknown,
    /// None of its endpoints can be chosen.
    NoHealthyUpstream,
}

/// What of a call may decide where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<'a> {
    /// The call.
    pub(super) call: &'a Call,
    /// The request, if it is HTTP, as it was when the cluster was chosen.
    pub(super) request: Option<&'a Request>,
    /// The port for the name in the SNI, where that name is resolved.
    pub(super) sni_port: Option<u16>,
    /// What is announced instead of what the cluster says.
    pub(super) announced: Option<&'a str>,
}

/// The endpoints of a cluster by their shares.
pub(super) fn upstreams(
    resources: &Resources,
    name: &str,
    bound: Bound<'_>,
) -> Result<Result<Vec<Upstream>, Nowhere>> {
    let Some(cluster) = resources.clusters.get(name) else { return Ok(Err(Nowhere::Unknown)) };
    let place = || format!("cluster {name}");
    known::only(cluster, USED, INERT).with_context(place)?;
    let found = match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::ClusterType(custom)) => dynamic(cluster, custom, bound),
        kind => match discovery(kind.as_ref()) {
            DiscoveryType::OriginalDst => original(cluster, bound),
            DiscoveryType::Eds => {
                let eds = cluster.eds_cluster_config.clone().unwrap_or_default();
                let asked = if eds.service_name.is_empty() { name } else { &eds.service_name };
                listed(cluster, resources.assignments.get(asked), bound)
            }
            DiscoveryType::Static | DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
                // An Envoy's own dump has the addresses that names were resolved to.
                let resolved = resources.assignments.get(name);
                listed(cluster, resolved.or(cluster.load_assignment.as_ref()), bound)
            }
        },
    };
    let found = found.with_context(place)?;
    Ok(if found.is_empty() { Err(Nowhere::NoHealthyUpstream) } else { Ok(found) })
}

/// How endpoints are found; STATIC unless said otherwise.
fn discovery(kind: Option<&ClusterDiscoveryType>) -> DiscoveryType {
    match kind {
        Some(ClusterDiscoveryType::Type(number)) => DiscoveryType::try_from(*number).unwrap_or_default(),
        _ => DiscoveryType::Static,
    }
}

fn listed(
    cluster: &Cluster,
    assignment: Option<&ClusterLoadAssignment>,
    bound: Bound<'_>,
) -> Result<Vec<Upstream>> {
    let Some(assignment) = assignment else { return Ok(Vec::new()) };
    let authority = bound.request.map(|r| r.authority.as_str());
    let chosen = balance::shares(cluster, assignment)?;
    chosen
        .into_iter()
        .map(|(share, endpoint)| {
            let secured = upstream_tls::of(cluster, endpoint.metadata.as_ref(), authority)?;
            let secured = secured.announcing(bound.announced);
            let address = balance::address(endpoint)?;
            Ok(secured.at(address, share))
        })
        .collect()
}

/// The address that the client wanted, perhaps at another port; none if the connection was not redirected, for then it
/// wanted the proxy.
fn original(cluster: &Cluster, bound: Bound<'_>) -> Result<Vec<Upstream>> {
    let mut wanted: SocketAddr = bound.call.wanted;
    if bound.call.arrives == wanted {
        return Ok(Vec::new());
    }
    if let Some(LbConfig::OriginalDstLbConfig(config)) = &cluster.lb_config {
        known::only(config, &["upstream_port_override"], &[])?;
        if let Some(port) = &config.upstream_port_override {
            wanted.set_port(u16::try_from(port.value)?);
        }
    }
    one(cluster, wanted.to_string(), bound)
}

/// The host that the request, or the TLS handshake, names.
fn dynamic(cluster: &Cluster, custom: &CustomClusterType, bound: Bound<'_>) -> Result<Vec<Upstream>> {
    if custom.name != "envoy.clusters.dynamic_forward_proxy" {
        bail!("the simulator does not know clusters of the type {}", custom.name);
    }
    let sni = bound.call.tls.as_ref().and_then(|tls| tls.sni.as_deref());
    let host = match (bound.request, bound.sni_port, sni) {
        (Some(request), _, _) => {
            let port = if upstream_tls::has_tls(cluster)? { 443 } else { 80 };
            match request.authority.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => request.authority.clone(),
                _ => format!("{}:{port}", request.authority),
            }
        }
        (None, Some(port), Some(sni)) => format!("{sni}:{port}"),
        _ => return Ok(Vec::new()),
    };
    one(cluster, host, bound)
}

fn one(cluster: &Cluster, address: String, bound: Bound<'_>) -> Result<Vec<Upstream>> {
    let secured = upstream_tls::of(cluster, None, bound.request.map(|r| r.authority.as_str()))?;
    Ok(vec![secured.announcing(bound.announced).at(address, 1.0)])
}
