//! The cluster of a service's port from its key.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster_builder.go`; `shared/spec/xds.md` 2.3-2.9.

use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::{DiscoveryType, DnsLookupFamily};
use envoy::config::core::v3::http1_protocol_options::HeaderKeyFormat;
use envoy::config::core::v3::http1_protocol_options::header_key_format::HeaderFormat;
use envoy::config::core::v3::{Http1ProtocolOptions, TypedExtensionConfig};
use envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
use envoy::pack_any;
use model::ProxyKind;
use model::protocol::{Class, Protocol};
use model::service::ServicePort;

use super::draft::Draft;
use super::metadata::Facts;
use super::outbound::{Discovery, OutboundKey, discovery, races};
use super::policy::Policy;
use super::{balancer, discovery as wire, names, outlier, pool, tls};
use crate::endpoints;
use crate::listeners::http::DnsCache;
use crate::output::Built;

const PRESERVE_CASE: &str = "preserve_case";

/// Builds the cluster. The key's port is one of its service's; were it not, the cluster would drop everything.
pub(super) fn cluster(key: &OutboundKey) -> Built<Cluster> {
    let name = if key.sni_dnat {
        names::sni(key.port, &key.subset, &key.service.host)
    } else {
        names::outbound(key.port, &key.subset, &key.service.host)
    };
    let Some(port) = key.service.port(key.port) else {
        let (cluster, _) =
            Draft::new(&name, DiscoveryType::Static, key.settings.mesh.connect_timeout).finish();
        return Built::new(cluster, vec![key.service.source.clone()]);
    };
    let (cluster, problems) = match discovery(&key.service, port, key.client.kind, &key.settings) {
        Discovery::DynamicDns => dynamic(key, port, &name).finish(),
        found => service(key, port, &name, found).finish(),
    };
    let rules = key.rule.iter().flat_map(|r| r.from.iter().cloned());
    let sources = std::iter::once(key.service.source.clone()).chain(rules).collect();
    Built { message: cluster, sources, problems }
}

fn service(key: &OutboundKey, port: &ServicePort, name: &str, found: Discovery) -> Draft {
    let mesh = &key.settings.mesh;
    let mut draft = start(key, port, name, found);
    let rule = key.rule.as_ref().map(|r| &r.rule.spec);
    let policy = Policy::of(rule, key.port, &key.subset, mesh);
    set_protocol(&mut draft, key.client.kind, key.client.preserve_header_case, port.protocol);
    pool::apply_h2_upgrade(&mut draft, policy.connection_pool, port.protocol, mesh);
    pool::apply(&mut draft, policy.connection_pool, policy.retry_budget, mesh);
    outlier::apply(&mut draft, policy.outlier_detection);
    draft.common_lb();
    if Policy::of(rule, key.port, "", mesh).is_passthrough() {
        balancer::set_passthrough(&mut draft);
    }
    balancer::apply(&mut draft, &key.service, port.protocol, &policy, &key.settings);
    if found == Discovery::OriginalDst {
        wire::set_port_override(&mut draft.cluster, &key.service, port);
    }
    if key.subset.is_empty() && key.service.has_persistent_session() {
        balancer::apply_persistent_session(&mut draft);
    }
    if !key.sni_dnat {
        tls::apply(&mut draft, key, &policy);
        tls::apply_proxy_protocol(&mut draft, &policy);
    }
    draft.cluster.metadata = Facts::default()
        .services(std::iter::once(&*key.service))
        .external(key.subset.is_empty() && key.service.mesh_external)
        .rule(key.rule.as_ref().map(|r| &r.rule.source))
        .subset(&key.subset)
        .keep_alpn(tls::is_foreign(&policy))
        .message();
    draft
}

fn start(key: &OutboundKey, port: &ServicePort, name: &str, found: Discovery) -> Draft {
    let kind = match found {
        Discovery::Eds => DiscoveryType::Eds,
        Discovery::StrictDns => DiscoveryType::StrictDns,
        Discovery::LogicalDns => DiscoveryType::LogicalDns,
        Discovery::OriginalDst => DiscoveryType::OriginalDst,
        Discovery::DynamicDns | Discovery::None => DiscoveryType::Static,
    };
    let mesh = &key.settings.mesh;
    let mut draft = Draft::new(name, kind, mesh.connect_timeout);
    set_stat_name(&mut draft, key, port);
    match found {
        Discovery::Eds => wire::set_eds(&mut draft.cluster),
        Discovery::StrictDns | Discovery::LogicalDns => {
            let family = if races(&key.service) {
                DnsLookupFamily::All
            } else {
                wire::lookup_family(key.client.families, key.settings.features.dual_stack)
            };
            wire::set_dns(&mut draft.cluster, family, mesh, &key.settings.features);
            draft.cluster.load_assignment = key.inline.as_ref().map(|i| endpoints::build(i).message);
        }
        Discovery::OriginalDst | Discovery::DynamicDns | Discovery::None => {}
    }
    draft
}

fn set_stat_name(draft: &mut Draft, key: &OutboundKey, port: &ServicePort) {
    let pattern = &key.settings.mesh.outbound_cluster_stat_name;
    if !pattern.is_empty() && !key.sni_dnat {
        draft.cluster.alt_stat_name = names::stat_of_pattern(pattern, &key.service, port, &key.subset);
    }
}

/// What is spoken with the endpoints, as far as the port tells.
pub(super) fn set_protocol(draft: &mut Draft, kind: ProxyKind, preserve_case: bool, protocol: Protocol) {
    if protocol.is_http2() {
        draft.prefer_http2();
        return;
    }
    let class = protocol.class();
    if preserve_case && matches!(class, Class::Http | Class::Auto) {
        draft.use_http1(preserving_case());
    }
    if class == Class::Auto && kind == ProxyKind::Sidecar {
        draft.use_downstream_protocol();
    }
}

/// HTTP/1.1 whose headers keep their case.
pub(crate) fn preserving_case() -> Http1ProtocolOptions {
    let formatter = TypedExtensionConfig {
        name: PRESERVE_CASE.to_owned(),
        typed_config: Some(pack_any(&PreserveCaseFormatterConfig::default())),
    };
    Http1ProtocolOptions {
        header_key_format: Some(HeaderKeyFormat {
            header_format: Some(HeaderFormat::StatefulFormatter(formatter)),
        }),
        ..Http1ProtocolOptions::default()
    }
}

/// A wildcard host whose names are looked up as they come. Its options are those of the mesh.
fn dynamic(key: &OutboundKey, port: &ServicePort, name: &str) -> Draft {
    let mesh = &key.settings.mesh;
    let mut draft = Draft::new(name, DiscoveryType::Static, mesh.connect_timeout);
    set_stat_name(&mut draft, key, port);
    let cache = DnsCache::of_host(&key.service.host, key.client.families, &key.settings.features).config();
    let rule = key.rule.as_ref().map(|r| &r.rule.spec);
    let policy = Policy::of(rule, key.port, &key.subset, mesh);
    wire::set_dynamic(&mut draft.cluster, cache, tls::is_insecure(&policy));
    set_protocol(&mut draft, key.client.kind, key.client.preserve_header_case, port.protocol);
    pool::apply_h2_upgrade(&mut draft, policy.connection_pool, port.protocol, mesh);
    pool::apply(&mut draft, policy.connection_pool, policy.retry_budget, mesh);
    outlier::apply(&mut draft, policy.outlier_detection);
    tls::apply(&mut draft, key, &policy);
    tls::apply_proxy_protocol(&mut draft, &policy);
    draft.cluster.metadata = Facts::default()
        .external(key.service.mesh_external)
        .rule(key.rule.as_ref().map(|r| &r.rule.source))
        .keep_alpn(tls::is_foreign(&policy))
        .message();
    draft
}
