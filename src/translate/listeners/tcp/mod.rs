//! TCP proxies: the filters of a chain that forwards bytes.
//!
//! Source: Istio `pilot/pkg/networking/core/networkfilter.go`; `shared/spec/xds.md` 4.4, 4.7.

use api::Duration;
use envoy::config::listener::v3::Filter;
use envoy::extensions::filters::network::mongo_proxy::v3::MongoProxy;
use envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight;
use envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, TunnelingConfig, WeightedCluster,
};
use envoy::r#type::v3::{HashPolicy, hash_policy};

use model::Ref;

use super::access_log::AccessLogs;
use super::shape::{duration, network_filter};

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

/// All that a TCP proxy is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Prefix of its statistics.
    pub stat_prefix: String,
    /// Where connections go.
    pub target: Target,
    /// Time without data after which a connection is closed; `None` for Envoy's default of an hour.
    pub idle_timeout: Option<Duration>,
    /// An endpoint is chosen by the client's address.
    pub hash_source_ip: bool,
    /// Connections go through a tunnel.
    pub tunnel: Option<Tunnel>,
    /// MongoDB is looked into for statistics.
    pub mongo: bool,
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
            hash_source_ip: false,
            tunnel: None,
            mongo: false,
            access_logs: access_logs.clone(),
        }
    }

    /// The filters: those that look into the protocol, then the proxy.
    pub fn filters(&self) -> Vec<Filter> {
        let mongo = self.mongo.then(|| {
            let config = MongoProxy { stat_prefix: self.stat_prefix.clone(), ..MongoProxy::default() };
            network_filter("envoy.filters.network.mongo_proxy", &config)
        });
        mongo.into_iter().chain([network_filter("envoy.filters.network.tcp_proxy", &self.proxy())]).collect()
    }

    fn proxy(&self) -> TcpProxy {
        let source_ip = || HashPolicy {
            policy_specifier: Some(hash_policy::PolicySpecifier::SourceIp(hash_policy::SourceIp::default())),
        };
        TcpProxy {
            stat_prefix: self.stat_prefix.clone(),
            cluster_specifier: Some(self.target.specifier()),
            idle_timeout: self.idle_timeout.map(duration),
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
        TunnelingConfig {
            hostname: format!("{}:{}", self.host, self.port),
            use_post: self.post,
            ..TunnelingConfig::default()
        }
    }
}
