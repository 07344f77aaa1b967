//! Builds one HTTP connection manager.

use api::mesh_config::NormalizationType;
use envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, Http1ProtocolOptions, Http2ProtocolOptions,
    Http3ProtocolOptions, HttpProtocolOptions, config_source::ConfigSourceSpecifier,
};
use envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy::config::route::v3::RouteConfiguration;
use envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use envoy::google::protobuf::{Any, Duration};
use envoy::{Message, pack_any, type_url};
use hcm::http_connection_manager::{
    CodecType, InternalAddressConfig, PathWithEscapedSlashesAction, RouteSpecifier, UpgradeConfig,
};
use hcm::{HttpConnectionManager, Rds, RequestIdExtension};

use super::{DnsCache, HttpDefaults, connection, filters, headers};
use crate::authz::HttpFilters;
use crate::jwt::Jwt;
use crate::listeners::shape::{cidr, duration};

/// The name of the network filter.
const NAME: &str = "envoy.filters.network.http_connection_manager";

/// On which side of the mesh a manager stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// A sidecar's requests to others.
    Outbound,
    /// Requests to a sidecar's workload.
    Inbound,
    /// A gateway.
    Gateway,
}

/// Where a manager finds its routes.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// In the route configuration of this name, over ADS.
    Rds(String),
    /// In itself.
    Inline(Box<RouteConfiguration>),
}

/// All that managers are built from but their names and routes. What is not an argument of [`Manager::new`] starts as off.
#[derive(Clone, Debug)]
pub struct Manager<'a> {
    /// What it shares with the other managers of the proxy.
    pub defaults: &'a HttpDefaults,
    /// Its side.
    pub side: Side,
    /// HTTP/2 options are set, as inbound ports of HTTP2 and GRPC have them.
    pub http2: bool,
    /// HTTP/3 is spoken and nothing else.
    pub http3: bool,
    /// gRPC-Web is translated.
    pub grpc_web: bool,
    /// Request lines may name a whole URL: the HTTP proxy.
    pub absolute_url: bool,
    /// Hosts of requests are resolved.
    pub dns_cache: Option<DnsCache>,
    /// Tokens of requests are verified.
    pub jwt: Option<&'a Jwt>,
    /// Who may ask for what; `None` for everybody anything.
    pub authz: Option<&'a HttpFilters>,
}

/// What managers of one listener have in common, encoded once.
#[derive(Clone, Debug)]
pub struct Common(Vec<u8>);

impl Common {
    /// The network filter that holds a manager: `stat_prefix` begins its statistics, with the `;` that ends those of Istio.
    pub fn filter(&self, stat_prefix: String, route: Route) -> Filter {
        let own = HttpConnectionManager {
            stat_prefix,
            route_specifier: Some(specifier(route)),
            ..HttpConnectionManager::default()
        };
        // Fields of a message may come in any order.
        let mut value = Vec::with_capacity(self.0.len() + own.encoded_len());
        value.extend_from_slice(&self.0);
        value.extend(own.encode_to_vec());
        let any = Any { type_url: type_url::<HttpConnectionManager>(), value: value.into() };
        Filter { name: NAME.to_owned(), config_type: Some(ConfigType::TypedConfig(any)) }
    }
}

impl<'a> Manager<'a> {
    /// Managers of some side.
    pub fn new(defaults: &'a HttpDefaults, side: Side) -> Self {
        Self {
            defaults,
            side,
            http2: false,
            http3: false,
            grpc_web: false,
            absolute_url: false,
            dns_cache: None,
            jwt: None,
            authz: None,
        }
    }

    /// What all of them have in common.
    pub fn common(&self) -> Common {
        Common(self.build().encode_to_vec())
    }

    /// The network filter of the only one, as [`Common::filter`] says.
    pub fn filter(&self, stat_prefix: String, route: Route) -> Filter {
        self.common().filter(stat_prefix, route)
    }

    fn build(&self) -> HttpConnectionManager {
        let defaults = self.defaults;
        let remote = self.side == Side::Gateway || defaults.sidecar_use_remote_address;
        let mut manager = HttpConnectionManager {
            http_filters: filters::all(self),
            tracing: defaults.tracing.as_ref().map(super::Tracing::build),
            access_log: defaults.access_logs.http(),
            use_remote_address: Some(remote.into()),
            proxy_100_continue: defaults.proxy_100_continue,
            stream_idle_timeout: Some(Duration::default()),
            upgrade_configs: vec![UpgradeConfig {
                upgrade_type: "websocket".to_owned(),
                ..UpgradeConfig::default()
            }],
            request_id_extension: Some(request_id()),
            path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged.into(),
            ..HttpConnectionManager::default()
        };
        if self.http2 {
            manager.http2_protocol_options = Some(Http2ProtocolOptions::default());
        }
        if self.http3 {
            manager.codec_type = CodecType::Http3.into();
            manager.http3_protocol_options = Some(Http3ProtocolOptions::default());
        }
        if defaults.http10 || self.absolute_url || self.side == Side::Gateway {
            manager.http_protocol_options = Some(Http1ProtocolOptions {
                accept_http_10: defaults.http10,
                allow_absolute_url: self.absolute_url.then(|| true.into()),
                ..Http1ProtocolOptions::default()
            });
        }
        if let Some(idle) = defaults.idle_timeout {
            manager.common_http_protocol_options =
                Some(HttpProtocolOptions { idle_timeout: Some(duration(idle)), ..Default::default() });
        }
        if remote || defaults.internal_networks {
            manager.internal_address_config = internal_addresses(&defaults.internal_ranges);
        }
        if let Some(topology) = defaults.topology.as_ref().filter(|_| self.side == Side::Gateway) {
            manager.xff_num_trusted_hops = topology.num_trusted_proxies;
        }
        normalize(&mut manager, defaults.normalization);
        headers::apply(&mut manager, defaults, self.side);
        if let Some(settings) = &defaults.connection {
            connection::apply(&mut manager, settings);
        }
        manager
    }
}

fn specifier(route: Route) -> RouteSpecifier {
    match route {
        Route::Rds(route_config_name) => {
            RouteSpecifier::Rds(Rds { config_source: Some(ads()), route_config_name })
        }
        Route::Inline(configuration) => RouteSpecifier::RouteConfig(*configuration),
    }
}

/// The stream that everything else comes over, waited for without limit.
fn ads() -> ConfigSource {
    ConfigSource {
        initial_fetch_timeout: Some(Duration::default()),
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
        ..ConfigSource::default()
    }
}

/// Request ids are UUIDs, and say whether a request is sampled.
fn request_id() -> RequestIdExtension {
    let config = UuidRequestIdConfig {
        use_request_id_for_trace_sampling: Some(true.into()),
        ..UuidRequestIdConfig::default()
    };
    RequestIdExtension { typed_config: Some(pack_any(&config)) }
}

fn internal_addresses(ranges: &[String]) -> Option<InternalAddressConfig> {
    let cidr_ranges: Vec<_> = ranges.iter().filter_map(|r| cidr(r)).collect();
    (!cidr_ranges.is_empty()).then(|| InternalAddressConfig { cidr_ranges, ..Default::default() })
}

/// How paths are made plain before anything is matched.
fn normalize(manager: &mut HttpConnectionManager, how: NormalizationType) {
    manager.normalize_path = Some((how != NormalizationType::None).into());
    match how {
        NormalizationType::Default | NormalizationType::None | NormalizationType::Base => {}
        NormalizationType::MergeSlashes => manager.merge_slashes = true,
        NormalizationType::DecodeAndMergeSlashes => {
            manager.merge_slashes = true;
            manager.path_with_escaped_slashes_action =
                PathWithEscapedSlashesAction::UnescapeAndForward.into();
        }
    }
}
