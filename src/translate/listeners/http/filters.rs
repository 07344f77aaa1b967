//! The HTTP filters of a connection manager, in their fixed order.

use envoy::config::cluster::v3::cluster::DnsLookupFamily;
use envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
use envoy::extensions::filters::http::cors::v3::Cors;
use envoy::extensions::filters::http::dynamic_forward_proxy::v3::{
    FilterConfig as ForwardProxy, filter_config::ImplementationSpecifier,
};
use envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy::extensions::filters::http::grpc_stats::v3::{
    FilterConfig as GrpcStats, filter_config::PerMethodStatSpecifier,
};
use envoy::extensions::filters::http::grpc_web::v3::GrpcWeb;
use envoy::extensions::filters::http::router::v3::Router;
use envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
use envoy::extensions::filters::network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType};
use envoy::{Message, Name, pack_any};
use model::proxy::IpFamilies;

use super::{Manager, Side, headers};

/// The DNS cache of a dynamic forward proxy: filter and cluster must name the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsCache {
    /// Its name.
    pub name: String,
    /// Families that are asked for.
    pub families: IpFamilies,
    /// Most hosts kept; `None` for Envoy's default.
    pub max_hosts: Option<u32>,
}

impl DnsCache {
    /// The cache for hosts that nothing is known of (mesh mode ALLOW_ANY_DYNAMIC_DNS).
    pub fn allow_any(families: IpFamilies) -> Self {
        Self { name: "allow_any_dfp_dns_cache".to_owned(), families, max_hosts: Some(1024) }
    }

    /// The cache of a wildcard host that is resolved by the name of each request.
    pub fn of_host(host: &str, families: IpFamilies) -> Self {
        Self { name: format!("{host}_dfp_dns_cache"), families, max_hosts: None }
    }

    /// The cache as both filter and cluster configure it.
    pub fn config(&self) -> DnsCacheConfig {
        let family = if self.families.v4() { DnsLookupFamily::V4Only } else { DnsLookupFamily::V6Only };
        DnsCacheConfig {
            name: self.name.clone(),
            dns_lookup_family: family.into(),
            max_hosts: self.max_hosts.map(Into::into),
            ..DnsCacheConfig::default()
        }
    }
}

/// The filters of a manager.
///
/// gRPC-Web comes first, because what follows wants to see gRPC; fault and CORS act by what routes configure; the
/// dynamic forward proxy resolves the host that all filters before it agreed on; the router ends the list.
pub(super) fn all(manager: &Manager<'_>) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    if manager.grpc_web {
        filters.push(filter("envoy.filters.http.grpc_web", &GrpcWeb::default()));
    }
    let stats = GrpcStats {
        emit_filter_state: true,
        per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(false.into())),
        ..GrpcStats::default()
    };
    filters.push(filter("envoy.filters.http.grpc_stats", &stats));
    filters.push(filter("envoy.filters.http.fault", &HttpFault::default()));
    filters.push(filter("envoy.filters.http.cors", &Cors::default()));
    if manager.defaults.stateful_session && manager.side != Side::Inbound {
        filters.push(filter("envoy.filters.http.stateful_session", &StatefulSession::default()));
    }
    if let Some(cache) = &manager.dns_cache {
        let proxy = ForwardProxy {
            implementation_specifier: Some(ImplementationSpecifier::DnsCacheConfig(cache.config())),
            ..ForwardProxy::default()
        };
        filters.push(filter("envoy.filters.http.dynamic_forward_proxy", &proxy));
    }
    let router = Router {
        suppress_envoy_headers: headers::suppress_envoy_headers(&manager.defaults.headers),
        ..Router::default()
    };
    filters.push(filter("envoy.filters.http.router", &router));
    filters
}

fn filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(config))),
        ..HttpFilter::default()
    }
}
