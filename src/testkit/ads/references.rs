//! What a resource names: assignments, routes, clusters.

use std::collections::BTreeSet;

use ::envoy::config::cluster::v3::{Cluster, cluster};
use ::envoy::config::listener::v3::{Listener, filter};
use ::envoy::config::route::v3::{RouteConfiguration, route, route_action};
use ::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use ::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier};
use ::envoy::google::protobuf::Any;
use ::envoy::{Message, Name};

/// Names that a resource depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    pub(super) assignment: Option<String>,
    pub(super) routes: BTreeSet<String>,
    pub(super) clusters: BTreeSet<String>,
}

impl References {
    /// Of a cluster: the assignment that it warms on, if it is of type EDS.
    pub(super) fn of_cluster(body: &[u8]) -> Result<Self, String> {
        let cluster = decode::<Cluster>(body)?;
        let eds = cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Eds.into());
        if cluster.cluster_discovery_type != Some(eds) {
            return Ok(Self::default());
        }
        let service = cluster.eds_cluster_config.map(|config| config.service_name).unwrap_or_default();
        let assignment = Some(if service.is_empty() { cluster.name } else { service });
        Ok(Self { assignment, ..Self::default() })
    }

    /// Of a listener: the routes that it asks for, and the clusters that it names itself.
    pub(super) fn of_listener(body: &[u8]) -> Result<Self, String> {
        let listener = decode::<Listener>(body)?;
        let mut found = Self::default();
        for filter in
            listener.filter_chains.into_iter().chain(listener.default_filter_chain).flat_map(|c| c.filters)
        {
            if let Some(filter::ConfigType::TypedConfig(any)) = filter.config_type {
                found.filter(&any)?;
            }
        }
        Ok(found)
    }

    /// Of a route configuration: the clusters that it names.
    pub(super) fn of_routes(body: &[u8]) -> Result<Self, String> {
        let mut found = Self::default();
        found.routes(decode::<RouteConfiguration>(body)?);
        Ok(found)
    }

    fn filter(&mut self, any: &Any) -> Result<(), String> {
        if is::<HttpConnectionManager>(any) {
            match decode::<HttpConnectionManager>(&any.value)?.route_specifier {
                Some(RouteSpecifier::Rds(rds)) => drop(self.routes.insert(rds.route_config_name)),
                Some(RouteSpecifier::RouteConfig(routes)) => self.routes(routes),
                _ => {}
            }
        } else if is::<TcpProxy>(any) {
            match decode::<TcpProxy>(&any.value)?.cluster_specifier {
                Some(ClusterSpecifier::Cluster(cluster)) => drop(self.clusters.insert(cluster)),
                Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                    self.clusters.extend(weighted.clusters.into_iter().map(|cluster| cluster.name));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn routes(&mut self, config: RouteConfiguration) {
        for route in config.virtual_hosts.into_iter().flat_map(|host| host.routes) {
            let Some(route::Action::Route(action)) = route.action else { continue };
            match action.cluster_specifier {
                Some(route_action::ClusterSpecifier::Cluster(cluster)) => drop(self.clusters.insert(cluster)),
                Some(route_action::ClusterSpecifier::WeightedClusters(weighted)) => {
                    self.clusters.extend(weighted.clusters.into_iter().map(|cluster| cluster.name));
                }
                _ => {}
            }
        }
    }
}

fn is<M: Name>(any: &Any) -> bool {
    any.type_url == M::type_url() || any.type_url.rsplit('/').next() == Some(&M::full_name())
}

fn decode<M: Message + Default>(body: &[u8]) -> Result<M, String> {
    M::decode(body).map_err(|error| error.to_string())
}
