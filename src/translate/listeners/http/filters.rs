//! The HTTP filters of a connection manager, in their fixed order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use envoy::config::cluster::v3::cluster::DnsLookupFamily;
use envoy::config::core::v3::TypedExtensionConfig;
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
use envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use envoy::{Message, Name, pack_any};
use model::mesh::Features;
use model::proxy::IpFamilies;

use super::{Manager, Side, headers};
use crate::class::SharedView;
use crate::clusters::{CARES, lookup_family};
use crate::jwt;
use crate::listeners::shape::address;

/// The DNS cache of a dynamic forward proxy: filter and cluster must name the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsCache {
    /// Its name.
    pub name: String,
    /// Families that are asked for.
    pub family: DnsLookupFamily,
    /// Most hosts kept; `None` for Envoy's default.
    pub max_hosts: Option<u32>,
    /// The server that is asked; `None` for those of the machine.
    pub server: Option<SocketAddr>,
}

/// The agent beside a proxy answers DNS queries here.
const AGENT_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15053);

impl DnsCache {
    /// The cache for hosts that nothing is known of (mesh mode ALLOW_ANY_DYNAMIC_DNS).
    /// Where DNS is captured, the agent is asked, which knows the mesh's own names as well.
    pub fn allow_any(view: &SharedView, features: &Features) -> Self {
        let told = view.dns_proxy_addr.replace("localhost:", "127.0.0.1:");
        Self {
            name: "allow_any_dfp_dns_cache".to_owned(),
            family: lookup_family(view.families, features.dual_stack),
            max_hosts: Some(features.dynamic_dns_max_hosts),
            server: view.dns_capture.then(|| told.parse().unwrap_or(AGENT_DNS)),
        }
    }

    /// The cache of a wildcard host that is resolved by the name of each request.
    pub fn of_host(host: &str, families: IpFamilies, features: &Features) -> Self {
        let family = lookup_family(families, features.dual_stack);
        Self { name: format!("{host}_dfp_dns_cache"), family, max_hosts: None, server: None }
    }

    /// The cache as both filter and cluster configure it.
    pub fn config(&self) -> DnsCacheConfig {
        let resolver = |server: &SocketAddr| TypedExtensionConfig {
            name: CARES.to_owned(),
            typed_config: Some(pack_any(&CaresDnsResolverConfig {
                resolvers: vec![address(&server.ip().to_string(), server.port())],
                ..CaresDnsResolverConfig::default()
            })),
        };
        DnsCacheConfig {
            name: self.name.clone(),
            dns_lookup_family: self.family.into(),
            max_hosts: self.max_hosts.map(Into::into),
            typed_dns_resolver_config: self.server.as_ref().map(resolver),
            ..DnsCacheConfig::default()
        }
    }
}

/// The filters of a manager.
///
/// Who is not let in meets nothing else: external authorizers come first, then tokens, which the rules after them look
/// at. gRPC-Web is before all that wants to see gRPC; fault and CORS act by what routes configure; the dynamic forward
/// proxy resolves the host that all filters before it agreed on; the router ends the list.
pub(super) fn all(manager: &Manager<'_>) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    filters.extend(manager.authz.iter().flat_map(|authz| &authz.authorizers).cloned());
    if let Some(jwt) = manager.jwt {
        filters.push(filter(jwt::NAME, &jwt.build()));
    }
    filters.extend(manager.authz.iter().flat_map(|authz| &authz.rules).cloned());
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

/// An HTTP filter with its configuration.
pub(crate) fn filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(config))),
        ..HttpFilter::default()
    }
}
