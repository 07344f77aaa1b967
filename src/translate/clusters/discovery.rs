//! Where a cluster's endpoints come from, in Envoy's words.
//!
//! Source: `shared/spec/xds.md` 2.3.

use api::mesh_config::MeshConfig;
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CustomClusterType, DnsLookupFamily, EdsClusterConfig, LbConfig, LbPolicy,
    OriginalDstLbConfig,
};
use envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy::config::core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource, TypedExtensionConfig};
use envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;
use envoy::extensions::clusters::dynamic_forward_proxy::v3::cluster_config::ClusterImplementationSpecifier;
use envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
use envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use envoy::google::protobuf::Duration;
use envoy::pack_any;
use model::mesh::Features;
use model::proxy::IpFamilies;
use model::service::{Registry, Service, ServicePort, TargetPort};

use super::draft::wire;

const DYNAMIC_FORWARD_PROXY: &str = "envoy.clusters.dynamic_forward_proxy";
/// The extension that resolves names.
pub(crate) const CARES: &str = "envoy.network.dns_resolver.cares";

/// Assignments come over the same stream; the cluster waits for its own without limit.
pub(super) fn set_eds(cluster: &mut Cluster) {
    let source = ConfigSource {
        initial_fetch_timeout: Some(Duration::from_secs(0)),
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    };
    cluster.eds_cluster_config =
        Some(EdsClusterConfig { eds_config: Some(source), service_name: cluster.name.clone() });
}

/// How names are looked up.
pub(super) fn set_dns(
    cluster: &mut Cluster,
    family: DnsLookupFamily,
    mesh: &MeshConfig,
    features: &Features,
) {
    let resolver = CaresDnsResolverConfig {
        udp_max_queries: Some(features.dns_udp_max_queries.into()),
        ..CaresDnsResolverConfig::default()
    };
    cluster.typed_dns_resolver_config =
        Some(TypedExtensionConfig { name: CARES.to_owned(), typed_config: Some(pack_any(&resolver)) });
    let jitter = i64::try_from(features.dns_jitter_ms).unwrap_or(i64::MAX);
    cluster.dns_jitter = (jitter > 0).then(|| Duration::from_millis(jitter));
    cluster.dns_refresh_rate = mesh.dns_refresh_rate.map(wire);
    cluster.respect_dns_ttl = true;
    cluster.set_dns_lookup_family(family);
}

/// Which records of a name a proxy asks for.
pub(crate) fn lookup_family(families: IpFamilies, dual_stack: bool) -> DnsLookupFamily {
    match families {
        IpFamilies::V6 => DnsLookupFamily::V6Only,
        IpFamilies::Dual if dual_stack => DnsLookupFamily::All,
        IpFamilies::V4 | IpFamilies::Dual => DnsLookupFamily::V4Only,
    }
}

/// Another port than the client asked for, where a ServiceEntry without resolution says so.
pub(super) fn set_port_override(cluster: &mut Cluster, service: &Service, port: &ServicePort) {
    if service.registry != Registry::External {
        return;
    }
    if let TargetPort::Number(target) = port.target
        && target != port.number
    {
        cluster.lb_config = Some(LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
            upstream_port_override: Some(u32::from(target).into()),
            ..OriginalDstLbConfig::default()
        }));
    }
}

/// The host of each request is looked up, in a cache of its own.
pub(super) fn set_dynamic(cluster: &mut Cluster, cache: DnsCacheConfig, allow_insecure: bool) {
    let config = ClusterConfig {
        allow_insecure_cluster_options: allow_insecure,
        cluster_implementation_specifier: Some(ClusterImplementationSpecifier::DnsCacheConfig(cache)),
        ..ClusterConfig::default()
    };
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
        name: DYNAMIC_FORWARD_PROXY.to_owned(),
        typed_config: Some(pack_any(&config)),
    }));
    cluster.set_lb_policy(LbPolicy::ClusterProvided);
}
