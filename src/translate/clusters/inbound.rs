//! Inbound clusters: one for each port that the workload serves, and one for all others.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster.go` (`buildInboundClusters`), `cluster_builder.go`;
//! `shared/spec/xds.md` 2.4, 2.10.

use std::sync::Arc;

use api::istio::ConnectionPoolSettings;
use api::mesh_config::InboundMode;
use api::{Problem, Severity};
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::DiscoveryType;
use envoy::config::core::v3::{BindConfig, ExtraSourceAddress, SocketAddress, socket_address};
use envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints};
use envoy::google::protobuf::Duration;
use model::mesh::{MergedRule, Settings};
use model::proxy::IpFamilies;
use model::{ProxyKind, Ref};

use super::draft::Draft;
use super::metadata::Facts;
use super::names::Place;
use super::policy::Policy;
use super::{ClusterKey, build, fixed, names, pool};
use crate::class::OwnView;
use crate::context::Context;
use crate::key::Key;
use crate::listeners::outbound::Wildcard;
use crate::listeners::shape::address;
use crate::output::Built;
use crate::scope;
use crate::workload::InboundPort;

/// The cluster of addresses of the workload that no other cluster is for.
pub const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";
/// Its statistics go under the name of its outbound counterpart.
const PASSTHROUGH_STAT: &str = "PassthroughCluster";
/// Hosts are never cleaned up: the longest span of the reference, 2^63 nanoseconds.
const NEVER: Duration = Duration::from_secs(9_223_372_035);
/// Where a workload listens that takes connections of its own pod only.
const LOOPBACK: &str = "127.0.0.1";
/// The same for IPv6.
const LOOPBACK_V6: &str = "::1";
/// Connections from this address are not redirected to the proxy again.
const OWN_SOURCE: &str = "127.0.0.6";
/// The same for IPv6.
const OWN_SOURCE_V6: &str = "::6";

/// All that the cluster of a port of the workload is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundKey {
    /// The port.
    pub port: InboundPort,
    /// Where it is.
    pub destination: Destination,
    /// The rule that shapes the inbound side of the service.
    pub rule: Option<Ref<MergedRule>>,
    /// What the Sidecar says of connections to all ports, if it does.
    pub pool: Option<Ref<ConnectionPoolSettings>>,
    /// Address families of the proxy.
    pub families: IpFamilies,
    /// HTTP/1 headers keep their case.
    pub preserve_header_case: bool,
    /// Settings of the mesh.
    pub settings: Ref<Settings>,
}

/// All that the passthrough cluster is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundPassthroughKey {
    /// Address families of the proxy.
    pub families: IpFamilies,
    /// HTTP/1 headers keep their case.
    pub preserve_header_case: bool,
    /// Settings of the mesh.
    pub settings: Ref<Settings>,
}

/// Where the workload listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// At the address that the client asked for.
    Original,
    /// At the loopback address, which nothing redirects.
    Loopback(Arc<str>, u16),
    /// At an address of its own, or a Unix socket (`unix://PATH`, port 0).
    Address(Arc<str>, u16),
    /// A Sidecar says something that is no address.
    Unknown,
}

/// Plans the inbound clusters of a workload; `ports` are those that its proxy takes.
pub fn plan(context: &Context<'_>, view: &OwnView, ports: &[InboundPort]) -> Vec<(Arc<str>, Key)> {
    if view.shared.kind != ProxyKind::Sidecar {
        return Vec::new();
    }
    let (settings, families) = (&context.mesh.settings, view.shared.families);
    let headers = view.shared.proxy_config.proxy_headers.as_ref();
    let preserve_header_case = headers.is_some_and(|h| h.preserve_http1_header_case == Some(true));
    let key = InboundPassthroughKey { families, preserve_header_case, settings: settings.clone() };
    let entry = |name: String, key| (Arc::from(name), Key::Cluster(Ref::new(key)));
    let mut planned = vec![entry(INBOUND_PASSTHROUGH.to_owned(), ClusterKey::InboundPassthrough(key))];
    let sidecar = context.scope.sidecar.as_ref();
    let pool = sidecar.and_then(|s| s.spec.inbound_connection_pool.clone()).map(Ref::new);
    for port in ports {
        let key = InboundKey {
            destination: destination(settings, view, port),
            rule: rule(context, port),
            port: port.clone(),
            pool: pool.clone(),
            families,
            preserve_header_case,
            settings: settings.clone(),
        };
        planned.push(entry(names::inbound(port.number), ClusterKey::Inbound(key)));
    }
    planned
}

/// The rule that the workload's own namespace has for the service, if its Sidecar lets it see the service at all. Rules for some clients
/// only do not count.
fn rule(context: &Context<'_>, port: &InboundPort) -> Option<Ref<MergedRule>> {
    let (own, root) = (&context.view.namespace, &context.settings().mesh.root_namespace);
    let rules = &context.mesh.destination_rules;
    let rule = match (port.services.first(), &port.ingress) {
        (Some(service), _) if !scope::imports(context.scope.sidecar.as_deref(), own, service) => None,
        (Some(service), _) => rules.lookup_inbound(own, &service.host, &service.namespace, root),
        (None, Some(ingress)) => rules.lookup_inbound(own, &ingress.host, own, root),
        (None, None) => None,
    };
    rule.cloned()
}

fn destination(settings: &Settings, view: &OwnView, port: &InboundPort) -> Destination {
    let local = || Arc::clone(&Wildcard::of(view.shared.families).local);
    let Some(ingress) = &port.ingress else {
        return match settings.mesh.inbound_traffic_policy.mode {
            InboundMode::Passthrough => Destination::Original,
            InboundMode::Localhost => Destination::Loopback(local(), port.number),
        };
    };
    let listener = ingress.sidecar.spec.ingress.get(ingress.index);
    let endpoint = listener.map_or("", |l| l.default_endpoint.as_str());
    if endpoint.is_empty() {
        return Destination::Original;
    }
    if endpoint.starts_with("unix://") {
        return Destination::Address(endpoint.into(), 0);
    }
    let parts = endpoint.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let own = |v6: bool| view.addresses.iter().find(|a| a.is_ipv6() == v6);
    let address = |v6: bool, port: u16| match own(v6) {
        Some(own) => Destination::Address(own.to_string().into(), port),
        None => Destination::Address(Arc::from(if v6 { LOOPBACK_V6 } else { LOOPBACK }), port),
    };
    match parts {
        Some(("127.0.0.1", port)) => Destination::Loopback(local(), port),
        Some(("[::1]" | "::1", port)) if view.shared.families.v6() => {
            Destination::Loopback(Arc::from(LOOPBACK_V6), port)
        }
        Some(("[::1]" | "::1", port)) => Destination::Loopback(local(), port),
        Some(("0.0.0.0", port)) => address(false, port),
        Some(("[::]" | "::", port)) => address(true, port),
        _ => Destination::Unknown,
    }
}

/// Builds the cluster of a port.
pub(super) fn cluster(key: &InboundKey) -> Built<Cluster> {
    let (port, mesh) = (&key.port, &key.settings.mesh);
    let name = names::inbound(port.number);
    let kind = match &key.destination {
        Destination::Original | Destination::Unknown => DiscoveryType::OriginalDst,
        Destination::Loopback(..) | Destination::Address(..) => DiscoveryType::Static,
    };
    let mut draft = Draft::new(&name, kind, mesh.connect_timeout);
    if !mesh.inbound_cluster_stat_name.is_empty() {
        draft.cluster.alt_stat_name = names::stat(&place(port).expand(&mesh.inbound_cluster_stat_name));
    }
    match &key.destination {
        Destination::Original | Destination::Unknown => draft.cluster.cleanup_interval = Some(NEVER),
        Destination::Loopback(ip, number) | Destination::Address(ip, number) => {
            draft.cluster.load_assignment = Some(one_endpoint(&name, ip, *number));
        }
    }
    if !matches!(key.destination, Destination::Loopback(..)) {
        draft.cluster.upstream_bind_config = Some(source(key.families, key.settings.features.dual_stack));
    }
    draft.common_lb();
    build::set_protocol(&mut draft, ProxyKind::Sidecar, key.preserve_header_case, port.protocol);
    let rule = key.rule.as_ref().map(|r| &r.rule.spec);
    let policy = Policy::of(rule, port.service_port, "", mesh);
    let pool = ingress_pool(port).or(key.pool.as_deref()).or(policy.connection_pool);
    pool::apply(&mut draft, pool, policy.retry_budget, mesh);
    let facts = Facts::default().services(port.services.iter().map(|s| &**s));
    // A rule without a policy of its own is not named, though its subsets may shape outbound clusters.
    let shaping = key.rule.as_ref().filter(|r| r.rule.spec.traffic_policy.is_some());
    // A port that is that of a service outside of the mesh says nothing of itself.
    if !port.services.first().is_some_and(|s| s.mesh_external) {
        draft.cluster.metadata = facts.rule(shaping.map(|r| &r.rule.source)).message();
    }
    if key.destination == Destination::Unknown {
        note_unknown(&mut draft, port);
    }
    let (message, problems) = draft.finish();
    Built { message, sources: sources(key), problems }
}

/// What statistics call the port.
pub(crate) fn place(port: &InboundPort) -> Place<'_> {
    match (&port.services.first(), &port.ingress) {
        (Some(service), _) => Place::of(service, port.service_port, &port.name, ""),
        (None, Some(ingress)) => of_ingress(port, &ingress.host),
        (None, None) => Place::default(),
    }
}

/// What statistics call a port that only a Sidecar knows.
pub(crate) fn of_ingress<'a>(port: &'a InboundPort, host: &'a str) -> Place<'a> {
    Place {
        short: host.to_owned(),
        name: host,
        host,
        port: port.service_port,
        port_name: &port.name,
        subset: "",
    }
}

fn ingress_pool(port: &InboundPort) -> Option<&ConnectionPoolSettings> {
    let ingress = port.ingress.as_ref()?;
    ingress.sidecar.spec.ingress.get(ingress.index)?.connection_pool.as_ref()
}

fn note_unknown(draft: &mut Draft, port: &InboundPort) {
    let Some(ingress) = &port.ingress else { return };
    draft.problems.push(Problem {
        severity: Severity::Error,
        object: ingress.sidecar.source.key.clone(),
        field: format!("spec.ingress[{}].defaultEndpoint", ingress.index),
        message: "is not an address: the port that the client asked for is used".to_owned(),
        hint: "use 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix://PATH".to_owned(),
    });
}

fn sources(key: &InboundKey) -> Vec<api::ObjectRef> {
    let services = key.port.services.iter().map(|s| s.source.clone());
    let rules = key.rule.iter().flat_map(|r| r.from.iter().cloned());
    let sidecar = key.port.ingress.iter().map(|i| i.sidecar.source.clone());
    services.chain(rules).chain(sidecar).collect()
}

fn one_endpoint(cluster: &str, ip: &str, port: u16) -> ClusterLoadAssignment {
    let endpoint = Endpoint { address: Some(address(ip, port)), ..Endpoint::default() };
    let endpoint =
        LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() };
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: vec![endpoint],
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

/// Connections to the workload come from an address that is not redirected again; `both` adds the other family.
fn source(families: IpFamilies, both: bool) -> BindConfig {
    let socket = |ip: &str| SocketAddress {
        address: ip.to_owned(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(0)),
        ..SocketAddress::default()
    };
    let first = if families.v4() { OWN_SOURCE } else { OWN_SOURCE_V6 };
    let extra = ExtraSourceAddress { address: Some(socket(OWN_SOURCE_V6)), ..ExtraSourceAddress::default() };
    let both = both && families == IpFamilies::Dual;
    BindConfig {
        source_address: Some(socket(first)),
        extra_source_addresses: both.then_some(extra).into_iter().collect(),
        ..BindConfig::default()
    }
}

/// Builds the cluster of all other addresses of the workload.
pub(super) fn passthrough(key: &InboundPassthroughKey) -> Cluster {
    let mut draft = fixed::passthrough_draft(INBOUND_PASSTHROUGH, &key.settings, key.preserve_header_case);
    draft.cluster.alt_stat_name = names::stat(PASSTHROUGH_STAT);
    draft.cluster.upstream_bind_config = Some(source(key.families, true));
    draft.finish().0
}
