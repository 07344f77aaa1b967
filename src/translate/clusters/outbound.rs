//! Outbound clusters: one for each port of each service in scope, and their subsets.
//!
//! Source: `shared/spec/xds.md` 2.1, 2.3.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::mesh::{MergedRule, Settings};
use model::protocol::Protocol;
use model::proxy::{FileCertificates, IpFamilies, SecretServers};
use model::service::{Registry, Resolution, Service, ServicePort};
use model::{ProxyKind, Ref};

use super::fixed;
use super::{ClusterKey, names};
use crate::class::SharedView;
use crate::context::Context;
use crate::endpoints::{self, EndpointsKey, mtls};
use crate::key::Key;
use crate::scope::ScopedService;

/// What clusters look at of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Sidecar or router.
    pub kind: ProxyKind,
    /// Address families: which records of a name are asked for.
    pub families: IpFamilies,
    /// Client certificates from files.
    pub tls_client: FileCertificates,
    /// Servers of secrets beside it.
    pub secret_servers: SecretServers,
    /// Keep the case of HTTP/1 headers.
    pub preserve_header_case: bool,
    /// Mesh mTLS announces whether HTTP is inside.
    pub announces_http: bool,
}

impl Client {
    /// The client of a class.
    pub(crate) fn of(view: &SharedView) -> Self {
        let headers = view.proxy_config.proxy_headers.as_ref();
        Self {
            kind: view.kind,
            families: view.families,
            tls_client: view.tls_client.clone(),
            secret_servers: view.secret_servers,
            preserve_header_case: headers.is_some_and(|h| h.preserve_http1_header_case == Some(true)),
            announces_http: view.announces_http,
        }
    }
}

/// All that the cluster of a service's port is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutboundKey {
    /// The service.
    pub service: Ref<Service>,
    /// The number of its port.
    pub port: u16,
    /// The subset; empty for the whole service.
    pub subset: Arc<str>,
    /// The rule that applies to the client.
    pub rule: Option<Ref<MergedRule>>,
    /// The client.
    pub client: Ref<Client>,
    /// Settings of the mesh.
    pub settings: Ref<Settings>,
    /// Whether mesh mTLS is used without a rule that asks for it.
    pub auto_mtls: bool,
    /// Identities of the service's endpoints.
    pub identities: Option<Ref<BTreeSet<Arc<str>>>>,
    /// The endpoints, where the cluster holds them itself.
    pub inline: Option<Ref<EndpointsKey>>,
    /// The cluster stands behind an AUTO_PASSTHROUGH server: it passes the client's TLS on.
    pub sni_dnat: bool,
}

/// Where the endpoints of a cluster come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discovery {
    /// They are sent.
    Eds,
    /// DNS, all addresses.
    StrictDns,
    /// DNS, one address at a time.
    LogicalDns,
    /// The address that the client asked for.
    OriginalDst,
    /// The name in each request.
    DynamicDns,
    /// There is no such cluster.
    None,
}

/// An annotation of ServiceEntries: race all addresses of one endpoint.
const CONNECT_STRATEGY: &str = "istio.io/connect-strategy";
/// Its value.
const RACE: &str = "RACE_FIRST_TCP_CONNECT";

/// Where the endpoints of a service's port come from.
pub(crate) fn discovery(
    service: &Service,
    port: &ServicePort,
    kind: ProxyKind,
    settings: &Settings,
) -> Discovery {
    if port.protocol == Protocol::Udp {
        return Discovery::None;
    }
    match service.resolution {
        Resolution::ClientSide => Discovery::Eds,
        Resolution::Dns if races(service) => Discovery::LogicalDns,
        Resolution::Dns => Discovery::StrictDns,
        Resolution::DnsRoundRobin => Discovery::LogicalDns,
        Resolution::Passthrough => {
            let headless = service.registry == Registry::Kubernetes && settings.features.eds_for_headless;
            if kind == ProxyKind::Router || headless { Discovery::Eds } else { Discovery::OriginalDst }
        }
        Resolution::DynamicDns => match port.protocol {
            Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::Tls => Discovery::DynamicDns,
            _ => Discovery::None,
        },
        Resolution::Alias => Discovery::None,
    }
}

/// Whether all addresses of the service's only endpoint are tried at once.
pub(crate) fn races(service: &Service) -> bool {
    service.annotations.get(CONNECT_STRATEGY).is_some_and(|v| v == RACE)
}

/// The subsets of a rule, each name once.
pub(crate) fn subsets(rule: Option<&Ref<MergedRule>>) -> impl Iterator<Item = &str> {
    let subsets = rule.map(|r| r.rule.spec.subsets.as_slice()).unwrap_or_default();
    subsets.iter().map(|s| s.name.as_str()).filter(|n| !n.is_empty())
}

/// Plans the outbound clusters that a class has for services of its scope.
pub fn plan(context: &Context<'_>, services: &[&ScopedService]) -> Vec<(Arc<str>, Key)> {
    let planner = Planner::new(context);
    let mut planned = Vec::with_capacity(services.len().saturating_mul(3));
    for scoped in services {
        planner.service(scoped, &mut planned);
    }
    planned
}

/// Plans the clusters that a class has whatever services there are.
pub fn plan_fixed(context: &Context<'_>) -> Vec<(Arc<str>, Key)> {
    fixed::plan(context, &Ref::new(Client::of(context.view)))
}

struct Planner<'a> {
    context: &'a Context<'a>,
    client: Ref<Client>,
    endpoints: endpoints::Planner<'a>,
    whole: Arc<str>,
}

impl<'a> Planner<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            client: Ref::new(Client::of(context.view)),
            endpoints: endpoints::Planner::new(context),
            whole: Arc::from(""),
        }
    }

    fn service(&self, scoped: &ScopedService, planned: &mut Vec<(Arc<str>, Key)>) {
        let service = &scoped.service;
        let settings = self.context.settings();
        let kind = self.client.kind;
        let mut common = None;
        for port in scoped.ports() {
            let discovery = discovery(service, port, kind, settings);
            if discovery == Discovery::None {
                continue;
            }
            // What all ports of a service share is looked up once.
            let key = &*common.get_or_insert_with(|| self.common(service));
            self.port(key, port, discovery, planned);
        }
    }

    fn common(&self, service: &Ref<Service>) -> OutboundKey {
        let endpoints = self.context.endpoints(service);
        OutboundKey {
            service: service.clone(),
            port: 0,
            subset: Arc::clone(&self.whole),
            rule: self.context.rule(service).cloned(),
            client: self.client.clone(),
            settings: self.context.mesh.settings.clone(),
            auto_mtls: mtls::automatic(self.context, service),
            identities: endpoints.map(|e| e.identities.clone()).filter(|i| !i.is_empty()),
            inline: None,
            sni_dnat: false,
        }
    }

    fn port(
        &self,
        common: &OutboundKey,
        port: &ServicePort,
        discovery: Discovery,
        planned: &mut Vec<(Arc<str>, Key)>,
    ) {
        let whole = OutboundKey { port: port.number, ..common.clone() };
        // The names of a wildcard host cannot be told apart by endpoint, so it has no subsets.
        if discovery != Discovery::DynamicDns {
            for subset in subsets(common.rule.as_ref()) {
                let key = OutboundKey { subset: Arc::from(subset), ..whole.clone() };
                self.add(key, port, discovery, planned);
            }
        }
        self.add(whole, port, discovery, planned);
    }

    fn add(
        &self,
        mut key: OutboundKey,
        port: &ServicePort,
        discovery: Discovery,
        planned: &mut Vec<(Arc<str>, Key)>,
    ) {
        if matches!(discovery, Discovery::StrictDns | Discovery::LogicalDns) {
            let inline = self.endpoints.inline(&key.service, port, &key.subset, key.rule.as_ref());
            // A DNS cluster without endpoints is refused by Envoy, so there is none.
            if inline.is_empty() {
                return;
            }
            key.inline = Some(inline.shared());
        }
        key.auto_mtls = key.auto_mtls
            && mtls::survives_passthrough(self.context, &key.service, key.rule.as_deref(), &key.subset);
        let name = names::outbound(key.port, &key.subset, &key.service.host);
        planned.push((Arc::from(name), Key::Cluster(Ref::new(ClusterKey::Outbound(key)))));
    }
}
