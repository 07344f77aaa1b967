//! A cluster in the making: the message, its HTTP options, what is found wrong on the way.

use api::{ObjectKey, Problem, Severity};
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbPolicy};
use envoy::config::core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as Common};
use envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use envoy::google::protobuf::Duration;
use envoy::pack_any;

use super::{names, pool};

/// Key of the HTTP options among a cluster's extension options.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// The message.
    pub(crate) cluster: Cluster,
    /// HTTP options; `None` until something sets one: a cluster without any has no such message.
    pub(crate) http: Option<HttpProtocolOptions>,
    /// What could not be said as asked.
    pub(crate) problems: Vec<Problem>,
}

impl Draft {
    /// A cluster of a type, with the mesh's time to connect and no limits.
    pub(crate) fn new(name: &str, discovery: DiscoveryType, connect_timeout: Option<api::Duration>) -> Self {
        let cluster = Cluster {
            name: name.to_owned(),
            alt_stat_name: names::stat(name),
            connect_timeout: connect_timeout.map(wire),
            circuit_breakers: Some(pool::unlimited()),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
            ..Cluster::default()
        };
        let mut draft = Self { cluster, ..Self::default() };
        draft.set_discovery(discovery);
        draft
    }

    /// Sets the type; the addresses that clients ask for need no balancing.
    pub(crate) fn set_discovery(&mut self, discovery: DiscoveryType) {
        self.cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(discovery.into()));
        if discovery == DiscoveryType::OriginalDst {
            self.cluster.set_lb_policy(LbPolicy::ClusterProvided);
        }
    }

    /// Whether it goes to the address that the client asked for.
    pub(crate) fn is_original_dst(&self) -> bool {
        let original = i32::from(DiscoveryType::OriginalDst);
        matches!(self.cluster.cluster_discovery_type, Some(ClusterDiscoveryType::Type(t)) if t == original)
    }

    /// The HTTP options, made when they are first asked for.
    pub(crate) fn http(&mut self) -> &mut HttpProtocolOptions {
        self.http.get_or_insert_with(HttpProtocolOptions::default)
    }

    /// The options of all HTTP versions.
    pub(crate) fn common_http(&mut self) -> &mut Common {
        self.http().common_http_protocol_options.get_or_insert_with(Common::default)
    }

    /// The load balancing options that all policies share.
    pub(crate) fn common_lb(&mut self) -> &mut CommonLbConfig {
        self.cluster.common_lb_config.get_or_insert_with(CommonLbConfig::default)
    }

    /// HTTP/2 without negotiation, if no upstream protocol was chosen before.
    pub(crate) fn prefer_http2(&mut self) {
        let options = self.http();
        if options.upstream_protocol_options.is_none() {
            options.upstream_protocol_options =
                Some(explicit(ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())));
        }
    }

    /// HTTP/1.1.
    pub(crate) fn use_http1(&mut self, options: Http1ProtocolOptions) {
        self.http().upstream_protocol_options = Some(explicit(ProtocolConfig::HttpProtocolOptions(options)));
    }

    /// The protocol that the client used; HTTP/1.1 options chosen before stay.
    pub(crate) fn use_downstream_protocol(&mut self) {
        let options = self.http();
        let http1 = match options.upstream_protocol_options.take() {
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::HttpProtocolOptions(http1)),
            })) => http1,
            _ => Http1ProtocolOptions::default(),
        };
        let both = UseDownstreamHttpConfig {
            http_protocol_options: Some(http1),
            http2_protocol_options: Some(Http2ProtocolOptions::default()),
            ..UseDownstreamHttpConfig::default()
        };
        options.upstream_protocol_options = Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(both));
    }

    /// The HTTP/2 options, if HTTP/2 is spoken without negotiation.
    pub(crate) fn explicit_http2(&mut self) -> Option<&mut Http2ProtocolOptions> {
        match &mut self.http.as_mut()?.upstream_protocol_options {
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(http2)),
            })) => Some(http2),
            _ => None,
        }
    }

    /// Notes a field of a rule that is wrong.
    pub(crate) fn problem(&mut self, object: &ObjectKey, field: &str, message: String, hint: &str) {
        self.problems.push(Problem {
            severity: Severity::Error,
            object: object.clone(),
            field: field.to_owned(),
            message,
            hint: hint.to_owned(),
        });
    }

    /// The finished message: HTTP options packed in, HTTP/1.1 if they do not say what is spoken.
    pub(crate) fn finish(mut self) -> (Cluster, Vec<Problem>) {
        if let Some(mut options) = self.http.take() {
            options.upstream_protocol_options.get_or_insert_with(|| {
                explicit(ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()))
            });
            let packed = pack_any(&options);
            self.cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), packed);
        }
        (self.cluster, self.problems)
    }
}

fn explicit(protocol: ProtocolConfig) -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(protocol) })
}

/// A span of time on the wire.
pub(crate) fn wire(span: api::Duration) -> Duration {
    std::time::Duration::from(span).into()
}
