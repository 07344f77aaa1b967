//! TCP proxies: the filters of a chain that forwards bytes.
//!
//! Source: Istio `pilot/pkg/networking/core/networkfilter.go`; `shared/spec/xds.md` 4.4, 4.7.

pub(crate) mod policy;

use api::Duration;
use envoy::config::listener::v3::Filter;
use envoy::extensions::filters::network::mongo_proxy::v3::MongoProxy;
use envoy::extensions::filters::network::redis_proxy::v3::{RedisProxy, redis_proxy};
use envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight;
use envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, TunnelingConfig, WeightedCluster,
};
use envoy::r#type::v3::{HashPolicy, hash_policy};
use model::Ref;
use model::mesh::Features;
use model::protocol::Protocol;

use super::access_log::AccessLogs;
use super::shape::{duration, network_filter};
use crate::tls::announced;

/// Time for one operation of Redis.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a tunnel ends and how it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u32,
    /// By POST instead of CONNECT.
    pub post: bool,
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To this cluster.
    Cluster(String),
    /// To these clusters, by weight; none of the weights is 0.
    Weighted(Vec<(String, u32)>),
}

/// What looks into the protocol that is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inspection {
    /// Nothing.
    #[default]
    None,
    /// Statistics of MongoDB.
    Mongo,
    /// Redis, which then routes by key.
    Redis,
}

impl Inspection {
    /// What the flags of the control plane have for a protocol.
    pub fn of(protocol: Protocol, features: &Features) -> Self {
        match protocol {
            Protocol::Mongo if features.mongo_filter => Self::Mongo,
            Protocol::Redis if features.redis_filter => Self::Redis,
            _ => Self::None,
        }
    }
}

/// All that a TCP proxy is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Prefix of its statistics.
    pub stat_prefix: String,
    /// Where connections go.
    pub target: Target,
    /// Time without data after which a connection is closed; `None` for Envoy's default of an hour.
    pub idle_timeout: Option<Duration>,
    /// Time after which a connection is closed, data or not.
    pub max_duration: Option<Duration>,
    /// An endpoint is chosen by the client's address.
    pub hash_source_ip: bool,
    /// Connections go through a tunnel.
    pub tunnel: Option<Tunnel>,
    /// The clusters announce HTTP, and have to be told that bytes come.
    pub corrects: bool,
    /// What looks into the protocol.
    pub inspection: Inspection,
    /// What is logged.
    pub access_logs: Ref<AccessLogs>,
}

impl Forward {
    /// To one cluster, whose name is the prefix of the statistics as well.
    pub fn to(cluster: &str, idle_timeout: Option<Duration>, access_logs: &Ref<AccessLogs>) -> Self {
        Self {
            stat_prefix: cluster.to_owned(),
            target: Target::Cluster(cluster.to_owned()),
            idle_timeout,
            max_duration: None,
            hash_source_ip: false,
            tunnel: None,
            corrects: false,
            inspection: Inspection::None,
            access_logs: access_logs.clone(),
        }
    }

    /// The filters: what clusters are told of the connection, what looks into the protocol, then the proxy. Redis needs no
    /// proxy behind it.
    pub fn filters(&self) -> Vec<Filter> {
        self.corrects.then(announced::correction).into_iter().chain(self.ending()).collect()
    }

    fn ending(&self) -> Vec<Filter> {
        let proxy = || network_filter("envoy.filters.network.tcp_proxy", &self.proxy());
        match self.inspection {
            Inspection::None => vec![proxy()],
            Inspection::Mongo => {
                let config = MongoProxy { stat_prefix: self.stat_prefix.clone(), ..MongoProxy::default() };
                vec![network_filter("envoy.filters.network.mongo_proxy", &config), proxy()]
            }
            Inspection::Redis => vec![network_filter("envoy.filters.network.redis_proxy", &self.redis())],
        }
    }

    /// A Redis proxy that sends all keys to one cluster: the first, where there are several.
    fn redis(&self) -> RedisProxy {
        let cluster = match &self.target {
            Target::Cluster(name) => name.clone(),
            Target::Weighted(clusters) => clusters.first().map(|(name, _)| name.clone()).unwrap_or_default(),
        };
        let route = redis_proxy::prefix_routes::Route { cluster, ..Default::default() };
        RedisProxy {
            stat_prefix: self.stat_prefix.clone(),
            latency_in_micros: true,
            settings: Some(redis_proxy::ConnPoolSettings {
                op_timeout: Some(duration(REDIS_TIMEOUT)),
                ..redis_proxy::ConnPoolSettings::default()
            }),
            prefix_routes: Some(redis_proxy::PrefixRoutes {
                catch_all_route: Some(route),
                ..redis_proxy::PrefixRoutes::default()
            }),
            ..RedisProxy::default()
        }
    }

    fn proxy(&self) -> TcpProxy {
        let source_ip = || HashPolicy {
            policy_specifier: Some(hash_policy::PolicySpecifier::SourceIp(hash_policy::SourceIp::default())),
        };
        TcpProxy {
            stat_prefix: self.stat_prefix.clone(),
            cluster_specifier: Some(self.target.specifier()),
            idle_timeout: self.idle_timeout.map(duration),
            max_downstream_connection_duration: self.max_duration.map(duration),
            hash_policy: self.hash_source_ip.then(source_ip).into_iter().collect(),
            tunneling_config: self.tunnel.as_ref().map(Tunnel::config),
            access_log: self.access_logs.tcp(),
            ..TcpProxy::default()
        }
    }
}

impl Target {
    fn specifier(&self) -> ClusterSpecifier {
        match self {
            Self::Cluster(name) => ClusterSpecifier::Cluster(name.clone()),
            // Envoy refuses an empty list: where every weight is 0 nothing is to pass.
            Self::Weighted(clusters) if clusters.is_empty() => {
                ClusterSpecifier::Cluster("BlackHoleCluster".to_owned())
            }
            Self::Weighted(clusters) => {
                let weight = |(name, weight): &(String, u32)| ClusterWeight {
                    name: name.clone(),
                    weight: *weight,
                    ..ClusterWeight::default()
                };
                ClusterSpecifier::WeightedClusters(WeightedCluster {
                    clusters: clusters.iter().map(weight).collect(),
                })
            }
        }
    }
}

impl Tunnel {
    fn config(&self) -> TunnelingConfig {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        TunnelingConfig {
            hostname: format!("{host}:{}", self.port),
            use_post: self.post,
            ..TunnelingConfig::default()
        }
    }
}
