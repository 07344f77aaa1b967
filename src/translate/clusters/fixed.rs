//! Clusters that every proxy has, whatever services there are.
//!
//! Source: `shared/spec/xds.md` 2.1, 2.4.

use std::sync::Arc;

use api::istio::{ClientTlsMode, ClientTlsSettings};
use envoy::config::cluster::v3::Cluster;
use envoy::config::cluster::v3::cluster::{DiscoveryType, LbPolicy};
use envoy::config::endpoint::v3::{ClusterLoadAssignment, LocalityLbEndpoints};
use envoy::google::protobuf::Duration;
use model::mesh::Settings;
use model::protocol::Class;
use model::proxy::SecretServers;
use model::{ProxyKind, Ref};

use super::build::preserving_case;
use super::draft::Draft;
use super::outbound::Client;
use super::tls::ByHost;
use super::{ClusterKey, discovery, pool};
use crate::context::Context;
use crate::endpoints::group;
use crate::key::Key;
use crate::listeners::http::DnsCache;
use crate::listeners::outbound::Unknown;
use crate::output::Built;
use crate::tls::upstream::{self, Verify};
use crate::tls::{announced, sds};

/// The cluster that drops everything.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// The cluster of addresses that no service has.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// The cluster of hosts that no service has.
pub const ALLOW_ANY_DYNAMIC_DNS: &str = "AllowAnyDynamicDNSCluster";
/// How long an idle connection of a passthrough cluster lives.
const PASSTHROUGH_IDLE: Duration = Duration::from_secs(300);

/// All that the cluster of addresses that no service has is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PassthroughKey {
    /// HTTP/1 headers keep their case.
    pub preserve_header_case: bool,
    /// Settings of the mesh.
    pub settings: Ref<Settings>,
}

/// All that the cluster of unknown hosts is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DynamicDnsKey {
    /// Its DNS cache, which HTTP filters name as well: Envoy takes two of one name only if they are alike.
    pub cache: DnsCache,
    /// HTTP/1 headers keep their case.
    pub preserve_header_case: bool,
    /// Settings of the mesh.
    pub settings: Ref<Settings>,
}

/// Plans the fixed clusters of the outbound side. Routers know no passthrough.
pub(super) fn plan(context: &Context<'_>, client: &Ref<Client>) -> Vec<(Arc<str>, Key)> {
    let settings = &context.mesh.settings;
    let entry = |name: &str, key: ClusterKey| (Arc::from(name), Key::Cluster(Ref::new(key)));
    let mut planned = vec![entry(BLACK_HOLE, ClusterKey::BlackHole(settings.clone()))];
    if context.view.secret_servers.credentials {
        planned.push(entry(sds::EXTERNAL_CLUSTER, ClusterKey::SecretServer(settings.clone())));
    }
    if client.kind == ProxyKind::Sidecar {
        let preserve_header_case = client.preserve_header_case;
        let passthrough = PassthroughKey { preserve_header_case, settings: settings.clone() };
        planned.push(entry(PASSTHROUGH, ClusterKey::Passthrough(passthrough)));
        if Unknown::of(context) == Unknown::PassByName {
            let cache = DnsCache::allow_any(context.view, &settings.features);
            let key = DynamicDnsKey { cache, preserve_header_case, settings: settings.clone() };
            planned.push(entry(ALLOW_ANY_DYNAMIC_DNS, ClusterKey::AllowAnyDynamicDns(key)));
        }
    }
    planned
}

/// The cluster that drops everything.
pub(super) fn black_hole(settings: &Settings) -> Cluster {
    let mut draft = Draft::new(BLACK_HOLE, DiscoveryType::Static, settings.mesh.connect_timeout);
    draft.cluster.circuit_breakers = None;
    draft.cluster.set_lb_policy(LbPolicy::RoundRobin);
    draft.finish().0
}

/// The cluster of the server of secrets beside the proxy, which `sds://` names are asked of.
pub(super) fn secret_server(settings: &Settings) -> Cluster {
    let name = sds::EXTERNAL_CLUSTER;
    let mut draft = Draft::new(name, DiscoveryType::Static, settings.mesh.connect_timeout);
    draft.prefer_http2();
    draft.cluster.circuit_breakers = None;
    let endpoint = group::host(group::at(group::pipe(sds::EXTERNAL_SOCKET)));
    let endpoints =
        vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..LocalityLbEndpoints::default() }];
    draft.cluster.load_assignment = Some(ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints,
        ..ClusterLoadAssignment::default()
    });
    draft.finish().0
}

/// The cluster of addresses that no service has.
pub(super) fn passthrough(key: &PassthroughKey) -> Cluster {
    passthrough_draft(PASSTHROUGH, &key.settings, key.preserve_header_case).finish().0
}

/// A cluster of the address that the client asked for, with the limits of the mesh.
pub(crate) fn passthrough_draft(name: &str, settings: &Settings, preserve_case: bool) -> Draft {
    let mesh = &settings.mesh;
    let mut draft = Draft::new(name, DiscoveryType::OriginalDst, mesh.connect_timeout);
    set_passthrough_http(&mut draft, preserve_case);
    let pool = mesh.default_traffic_policy.as_ref().and_then(|p| p.connection_pool.as_ref());
    let (tcp, http) = (pool.and_then(|p| p.tcp.as_ref()), pool.and_then(|p| p.http.as_ref()));
    pool::apply_limits(&mut draft, tcp, http, mesh);
    draft
}

/// HTTP as the client speaks it.
fn set_passthrough_http(draft: &mut Draft, preserve_case: bool) {
    if preserve_case {
        draft.use_http1(preserving_case());
    }
    draft.common_http().idle_timeout = Some(PASSTHROUGH_IDLE);
    draft.use_downstream_protocol();
}

/// The cluster of hosts that no service has.
pub(super) fn allow_any_dynamic_dns(key: &DynamicDnsKey) -> Built<Cluster> {
    let mesh = &key.settings.mesh;
    let mut draft = Draft::new(ALLOW_ANY_DYNAMIC_DNS, DiscoveryType::Static, mesh.connect_timeout);
    let tls = mesh.outbound_traffic_policy.tls.as_ref().filter(|t| t.mode != ClientTlsMode::Disable);
    let insecure = tls.is_none_or(|tls| ByHost::of(tls, true).is_insecure());
    discovery::set_dynamic(&mut draft.cluster, key.cache.config(), insecure);
    match tls {
        Some(tls) => set_tls(&mut draft, tls, &key.settings),
        None => set_passthrough_http(&mut draft, key.preserve_header_case),
    }
    Built::new(draft.finish().0, Vec::new())
}

/// TLS towards unknown hosts: their own names are asked for.
fn set_tls(draft: &mut Draft, tls: &ClientTlsSettings, settings: &Settings) {
    ByHost::of(tls, true).apply(draft);
    let names = tls.subject_alt_names.clone();
    let context = match tls.mode {
        ClientTlsMode::IstioMutual => {
            {
                // Whatever it is told: no policy looks into it on the way.
                let announced = announced::by_cluster(Class::None, false, false);
                upstream::mesh(names, tls.sni.clone(), announced, settings.features.compliance)
            }
        }
        ClientTlsMode::Disable | ClientTlsMode::Simple | ClientTlsMode::Mutual => {
            let roots = if tls.ca_certificates.is_empty() { "system" } else { &tls.ca_certificates };
            let mutual = tls.mode == ClientTlsMode::Mutual;
            let verify = if tls.insecure_skip_verify == Some(true) {
                Verify::Nothing
            } else {
                Verify::Roots {
                    roots: Box::new(sds::root_file(roots, SecretServers::default())),
                    names,
                    crl: tls.ca_crl.clone(),
                }
            };
            let files = || {
                sds::certificate_files(&tls.client_certificate, &tls.private_key, SecretServers::default())
            };
            upstream::context(upstream::Settings {
                certificate: mutual.then(files),
                verify,
                sni: tls.sni.clone(),
                parameters: upstream::default_parameters(&settings.mesh),
                compliance: settings.features.compliance,
                alpn: Vec::new(),
            })
        }
    };
    draft.cluster.transport_socket = Some(upstream::socket(&context));
}
