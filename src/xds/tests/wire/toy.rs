//! A small mesh: clusters with assignments, routes that name clusters, listeners that name routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::envoy::config::cluster::v3::{Cluster, cluster};
use api::envoy::config::core::v3::DataSource;
use api::envoy::config::core::v3::data_source::Specifier;
use api::envoy::config::core::v3::{Address, Node, SocketAddress, address, socket_address};
use api::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use api::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use api::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, VirtualHost, route, route_action,
};
use api::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
};
use api::envoy::extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, secret};
use api::envoy::google::protobuf::{Any, Duration};
use api::envoy::istio::mesh::v1alpha1::ProxyConfig;
use api::envoy::istio::networking::nds::v1::NameTable;
use api::envoy::istio::networking::nds::v1::name_table::NameInfo;
use api::envoy::{Message, Name};
use api::{ObjectRef, Problem};
use bytes::Bytes;
use testkit::ads::Kind;
use xds::encoded::Encoded;
use xds::engine::ProxySets;
use xds::generate::{Built, BuiltPart, Code, ContentHash, Generate, LayerPlan, NodeInfo, Peer, Refusal};
use xds::kind::ResourceType;
use xds::set::{Layer, Set};
use xds::slot::Slots;

/// Numbers of resources, and a number that stands for what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    /// Every fourth content is a cluster of type STATIC, the others are of type EDS.
    pub(crate) clusters: BTreeMap<u8, u8>,
    /// Content of assignments; 0 where there is none.
    pub(crate) endpoints: BTreeMap<u8, u8>,
    pub(crate) routes: BTreeMap<u8, (u8, BTreeSet<u8>)>,
    pub(crate) listeners: BTreeMap<u8, (u8, BTreeSet<u8>)>,
    /// Content of secrets.
    pub(crate) secrets: BTreeMap<u8, u8>,
    /// The number in the one address of the table of names, and in the one root that is trusted.
    pub(crate) names: u8,
}

impl World {
    /// Without names of what does not exist.
    pub(crate) fn consistent(mut self) -> Self {
        for (_, clusters) in self.routes.values_mut() {
            clusters.retain(|id| self.clusters.contains_key(id));
        }
        for (_, routes) in self.listeners.values_mut() {
            routes.retain(|id| self.routes.contains_key(id));
        }
        self
    }

    /// All resources of a type, by name.
    pub(crate) fn resources(&self, kind: ResourceType) -> BTreeMap<String, Bytes> {
        match kind {
            ResourceType::Cluster => self
                .clusters
                .iter()
                .map(|(id, content)| (cluster_name(*id), cluster(*id, *content)))
                .collect(),
            ResourceType::Endpoints => {
                let eds = self.clusters.iter().filter(|(_, content)| is_eds(**content));
                let content = |id| self.endpoints.get(id).copied().unwrap_or_default();
                eds.map(|(id, _)| (cluster_name(*id), assignment(&cluster_name(*id), Some(content(id)))))
                    .collect()
            }
            ResourceType::Route => {
                let body =
                    |id: &u8, (content, clusters): &(u8, BTreeSet<u8>)| routes(*id, *content, clusters);
                self.routes.iter().map(|(id, route)| (route_name(*id), body(id, route))).collect()
            }
            ResourceType::Listener => {
                let body = |id: &u8, (content, routes): &(u8, BTreeSet<u8>)| listener(*id, *content, routes);
                self.listeners.iter().map(|(id, one)| (format!("listener-{id}"), body(id, one))).collect()
            }
            ResourceType::NameTable => [(String::new(), names(self.names))].into(),
            ResourceType::Secret => {
                let body = |id: &u8, content: &u8| (format!("secret-{id}"), secret(*id, *content));
                self.secrets.iter().map(|(id, content)| body(id, content)).collect()
            }
            ResourceType::ProxyConfig => [(String::new(), trusted(self.names))].into(),
            ResourceType::ExtensionConfig => BTreeMap::new(),
        }
    }

    /// What a client that has settled serves with.
    pub(crate) fn served(&self) -> BTreeMap<Kind, BTreeMap<String, Bytes>> {
        let asked: BTreeSet<_> =
            self.listeners.values().flat_map(|(_, routes)| routes).map(|id| route_name(*id)).collect();
        let mut routes = self.resources(ResourceType::Route);
        routes.retain(|name, _| asked.contains(name));
        [
            (Kind::Cluster, self.resources(ResourceType::Cluster)),
            (Kind::Endpoints, self.resources(ResourceType::Endpoints)),
            (Kind::Listener, self.resources(ResourceType::Listener)),
            (Kind::Route, routes),
        ]
        .into()
    }

    /// The same as the engine has it.
    pub(crate) fn sets(&self) -> ProxySets {
        let set = |kind| {
            let resources = self.resources(kind).into_iter();
            let entries = resources.map(|(name, body)| Arc::new(Encoded::whole(kind, name, body)));
            Set::new(kind, [Arc::new(Layer::new(kind, entries, []))], Slots::default())
        };
        ProxySets::from_sets(ResourceType::ALL.map(set), 0)
    }
}

const fn is_eds(content: u8) -> bool {
    content % 4 != 3
}

fn cluster_name(id: u8) -> String {
    format!("outbound|80||c{id}")
}

fn route_name(id: u8) -> String {
    format!("route-{id}")
}

fn cluster(id: u8, content: u8) -> Bytes {
    let kind = if is_eds(content) { cluster::DiscoveryType::Eds } else { cluster::DiscoveryType::Static };
    encode(&Cluster {
        name: cluster_name(id),
        connect_timeout: Some(Duration { seconds: i64::from(content) + 1, nanos: 0 }),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(kind.into())),
        ..Cluster::default()
    })
}

fn assignment(name: &str, content: Option<u8>) -> Bytes {
    let endpoint = |content: u8| {
        let port_specifier = Some(socket_address::PortSpecifier::PortValue(8000 + u32::from(content)));
        let address =
            SocketAddress { address: "10.0.0.1".to_owned(), port_specifier, ..SocketAddress::default() };
        let address = Address { address: Some(address::Address::SocketAddress(address)) };
        let endpoint = Endpoint { address: Some(address), ..Endpoint::default() };
        let host_identifier = Some(lb_endpoint::HostIdentifier::Endpoint(endpoint));
        let lb_endpoints = vec![LbEndpoint { host_identifier, ..LbEndpoint::default() }];
        LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() }
    };
    encode(&ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: content.into_iter().map(endpoint).collect(),
        ..ClusterLoadAssignment::default()
    })
}

fn routes(id: u8, content: u8, clusters: &BTreeSet<u8>) -> Bytes {
    let host = |cluster: &u8| {
        let cluster_specifier = Some(route_action::ClusterSpecifier::Cluster(cluster_name(*cluster)));
        let action = Some(route::Action::Route(RouteAction { cluster_specifier, ..RouteAction::default() }));
        VirtualHost {
            name: format!("host-{cluster}-{content}"),
            domains: vec![format!("host-{cluster}")],
            routes: vec![Route { action, ..Route::default() }],
            ..VirtualHost::default()
        }
    };
    encode(&RouteConfiguration {
        name: route_name(id),
        virtual_hosts: clusters.iter().map(host).collect(),
        max_direct_response_body_size_bytes: Some(u32::from(content).into()),
        ..RouteConfiguration::default()
    })
}

fn listener(id: u8, content: u8, routes: &BTreeSet<u8>) -> Bytes {
    let chain = |route: &u8| {
        let rds = Rds { route_config_name: route_name(*route), ..Rds::default() };
        let manager = HttpConnectionManager {
            route_specifier: Some(RouteSpecifier::Rds(rds)),
            ..HttpConnectionManager::default()
        };
        let any = Any { type_url: HttpConnectionManager::type_url(), value: encode(&manager) };
        let filter = Filter { config_type: Some(filter::ConfigType::TypedConfig(any)), ..Filter::default() };
        FilterChain { filters: vec![filter], name: format!("chain-{route}"), ..FilterChain::default() }
    };
    encode(&Listener {
        name: format!("listener-{id}"),
        stat_prefix: format!("content-{content}"),
        filter_chains: routes.iter().map(chain).collect(),
        ..Listener::default()
    })
}

fn secret(id: u8, content: u8) -> Bytes {
    let value = vec![content];
    let source = DataSource { specifier: Some(Specifier::InlineBytes(value)), ..DataSource::default() };
    let roots = CertificateValidationContext { trusted_ca: Some(source), ..Default::default() };
    encode(&Secret { name: format!("secret-{id}"), r#type: Some(secret::Type::ValidationContext(roots)) })
}

fn names(content: u8) -> Bytes {
    let info = NameInfo { ips: vec![format!("10.96.0.{content}")], ..NameInfo::default() };
    encode(&NameTable { table: [("web.shop.svc.cluster.local".to_owned(), info)].into() })
}

fn trusted(content: u8) -> Bytes {
    encode(&ProxyConfig { ca_certificates_pem: vec![format!("root {content}")] })
}

fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

/// The node of a sidecar.
pub(crate) fn node() -> Node {
    Node { id: "sidecar~10.0.0.1~app.default~default.svc.cluster.local".to_owned(), ..Node::default() }
}

/// The encoded answer for a name that does not exist.
pub(crate) fn absent(kind: ResourceType, name: &str) -> Option<Bytes> {
    match kind {
        ResourceType::Endpoints => Some(assignment(name, None)),
        ResourceType::Route => {
            Some(encode(&RouteConfiguration { name: name.to_owned(), ..RouteConfiguration::default() }))
        }
        _ => None,
    }
}

/// Makes everyone the same of a [`World`].
pub(crate) struct Toy;

#[derive(Clone)]
pub(crate) struct Key(Bytes);

impl ContentHash for Key {
    fn content_hash(&self) -> u128 {
        xds::version::Version::of_bytes(&self.0).0
    }
}

pub(crate) type Plan = BTreeMap<ResourceType, Vec<(Arc<str>, Key)>>;

impl Generate for Toy {
    type Mesh = World;
    type Changes = ();
    type Proxy = String;
    type Class = ();
    type Plan = Plan;
    type Key = Key;
    type Part = Key;

    fn proxy(&self, node: &NodeInfo, _: &Peer) -> Result<String, Refusal> {
        if node.id.split('~').count() == 4 {
            return Ok(node.id.clone());
        }
        let message = format!("node id {} has not the four parts type~ip~id~domain", node.id);
        Err(Refusal { code: Code::InvalidArgument, message })
    }

    fn slots(&self, _: &World, _: &String) -> Slots {
        Slots::default()
    }

    fn classes(&self, _: &World, _: &String) -> Vec<()> {
        vec![()]
    }

    fn reclassify(&self, (): &(), _: &String) -> bool {
        false
    }

    fn plan(
        &self,
        mesh: &World,
        (): &(),
        _: Option<(&Arc<Plan>, &())>,
        _: bool,
        _: Option<&Arc<Plan>>,
    ) -> Arc<Plan> {
        let of = |kind| {
            let resources = mesh.resources(kind).into_iter();
            (kind, resources.map(|(name, body)| (Arc::from(name), Key(body))).collect())
        };
        Arc::new(ResourceType::ALL.map(of).into())
    }

    fn holding(&self, _: &Plan) -> bool {
        false
    }

    fn problems<'p>(&self, _plan: &'p Plan) -> &'p [Problem] {
        &[]
    }

    fn layer<'p>(&self, plan: &'p Plan, kind: ResourceType) -> LayerPlan<'p, Key> {
        LayerPlan { entries: plan.get(&kind).map_or(&[], Vec::as_slice), hidden: &[] }
    }

    fn build(&self, key: &Key) -> Built<Key> {
        Built::whole(key.0.clone())
    }

    fn build_part(&self, part: &Key) -> BuiltPart {
        BuiltPart { bytes: part.0.clone(), ..BuiltPart::default() }
    }

    fn sources(&self, _: &Key) -> Vec<ObjectRef> {
        Vec::new()
    }

    fn part_sources(&self, _: &Key) -> Vec<ObjectRef> {
        Vec::new()
    }

    fn part_name(&self, _: &Key) -> Arc<str> {
        Arc::from("")
    }

    fn absent(&self, _: &String, kind: ResourceType, name: &str) -> Option<Bytes> {
        absent(kind, name)
    }

    fn default_substitute(&self, _: &Key) -> Option<Bytes> {
        None
    }

    fn part_substitute(&self, _: &Key) -> Option<Bytes> {
        None
    }
}
