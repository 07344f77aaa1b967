//! Classes of proxies: all that a plan may read of a proxy. Proxies of equal class share their plan.

use std::net::IpAddr;
use std::sync::Arc;

use api::mesh_config::ProxyConfig;
use model::endpoint::Locality;
use model::proxy::{FileCertificates, Interception, IpFamilies, Reach, SecretServers, Version};
use model::{ContentHash, Labels, Mesh, Proxy, ProxyKind, Ref};

use crate::plan::upstreams;
use crate::routes::domains;
use crate::secrets::{self, SecretsView};
use crate::topology;

/// What a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What is sent to all proxies with this view: outbound clusters, endpoints, listeners, routes.
    Shared(Ref<SharedView>),
    /// What is sent to one workload only: its inbound side; for a router its listeners and routes.
    Own(Ref<OwnView>),
    /// Secrets, to those that may have them.
    Secrets(Ref<SecretsView>),
}

impl Class {
    /// The class of the layer below, if it has one: what this class has is planned as a difference from it.
    pub fn below(&self) -> Option<Self> {
        match self {
            Self::Shared(view) if view.layer == Layer::Upper => Some(Self::Shared(Ref::new(view.common()))),
            Self::Shared(_) | Self::Own(_) | Self::Secrets(_) => None,
        }
    }

    /// Identity of the class.
    pub fn content_hash(&self) -> ContentHash {
        model::content_hash(self)
    }
}

/// How much of the outbound side a class has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// All of it: a Sidecar says what is imported.
    Whole,
    /// The clusters, assignments and listeners that a client of no namespace would get; the view has no namespace.
    Common,
    /// What a namespace has beside and instead of [`Layer::Common`]; all routes, which are planned as a difference.
    Upper,
}

/// The part of a proxy that outbound resources may depend on.
///
/// Labels and locality are reduced to what some object of the mesh looks at (`Mesh::interest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedView {
    /// How much of the outbound side is planned for it.
    pub layer: Layer,
    /// Sidecar or router.
    pub kind: ProxyKind,
    /// Configuration namespace.
    pub namespace: Arc<str>,
    /// DNS domain, e.g. `shop.svc.cluster.local`.
    pub dns_domain: Arc<str>,
    /// Cluster id.
    pub cluster_id: Arc<str>,
    /// Network; empty if unknown.
    pub network: Arc<str>,
    /// Networks whose endpoints it asks for; empty for all.
    pub network_view: Vec<String>,
    /// Address families.
    pub families: IpFamilies,
    /// Which addresses of a service it uses.
    pub reach: Reach,
    /// How traffic is captured.
    pub interception: Interception,
    /// Labels that some object of the mesh names.
    pub labels: Labels,
    /// Where it is, if any load balancing looks at it; else empty.
    pub locality: Locality,
    /// Version of its agent.
    pub version: Version,
    /// Its own ProxyConfig, or the mesh's default.
    pub proxy_config: Ref<ProxyConfig>,
    /// DNS is captured, so automatic addresses can be reached.
    pub dns_capture: bool,
    /// HTTP/1.0 is accepted.
    pub http10: bool,
    /// Idle timeout as the metadata give it (a Go duration).
    pub idle_timeout: String,
    /// Client certificates from files.
    pub tls_client: FileCertificates,
    /// Servers of secrets beside the proxy.
    pub secret_servers: SecretServers,
    /// Mesh mTLS announces whether HTTP is inside.
    pub announces_http: bool,
    /// Ports below 1024 cannot be bound.
    pub unprivileged: bool,
    /// Ports of the proxy itself.
    pub reserved_ports: Vec<u16>,
    /// Exact balance on outbound listeners.
    pub outbound_exact_balance: bool,
    /// Port of the HTTP forward proxy, overriding the mesh's.
    pub http_proxy_port: Option<u16>,
    /// Resolver of dynamic names.
    pub dns_proxy_addr: String,
}

impl SharedView {
    /// The view of the layer below, which clients of all namespaces share.
    pub fn common(&self) -> Self {
        let dns_domain = domains::stranger(&self.dns_domain);
        Self { layer: Layer::Common, namespace: Arc::default(), dns_domain, ..self.clone() }
    }
}

/// One workload's own view: the shared one and what only its own resources may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnView {
    /// What it shares with others.
    pub shared: Ref<SharedView>,
    /// Name of its pod.
    pub pod: Arc<str>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// All of its labels, with those that say where it is.
    pub labels: Labels,
    /// Its node.
    pub node_name: Arc<str>,
    /// Its service account.
    pub service_account: String,
    /// Server certificates from files.
    pub tls_server: FileCertificates,
    /// Container ports by name, as its metadata give them.
    pub pod_ports: Vec<(String, u16)>,
    /// Exact balance on inbound listeners.
    pub inbound_exact_balance: bool,
    /// `MESH_ID`.
    pub mesh_id: String,
    /// `WORKLOAD_NAME`.
    pub workload_name: String,
    /// Its region, if it asks for the assignment of its own workload.
    pub discovers_itself: Option<Arc<str>>,
}

/// The classes of a proxy: shared first, own on top, then secrets.
pub fn classes(mesh: &Mesh, proxy: &Proxy) -> Vec<Class> {
    let (labels, locality) = topology::of(mesh, proxy);
    let discovers_itself = proxy.metadata.self_discovery.then(|| Arc::from(locality.region.as_str()));
    let shared = Ref::new(shared_view(mesh, proxy, &labels, locality));
    let own = OwnView {
        shared: shared.clone(),
        pod: Arc::clone(&proxy.pod),
        addresses: proxy.addresses.clone(),
        labels,
        node_name: Arc::clone(&proxy.metadata.node_name),
        service_account: proxy.metadata.service_account.clone(),
        tls_server: proxy.metadata.tls_server.clone(),
        pod_ports: proxy.metadata.pod_ports.clone(),
        inbound_exact_balance: proxy.metadata.inbound_exact_balance,
        mesh_id: proxy.metadata.mesh_id.clone(),
        workload_name: proxy.metadata.workload_name.clone(),
        discovers_itself,
    };
    let common = (shared.layer == Layer::Upper).then(|| Class::Shared(Ref::new(shared.common())));
    let own = Ref::new(own);
    let secrets = secrets::views(mesh, proxy, &own).into_iter().map(|view| Class::Secrets(Ref::new(view)));
    common.into_iter().chain([Class::Shared(shared), Class::Own(own)]).chain(secrets).collect()
}

fn shared_view(mesh: &Mesh, proxy: &Proxy, labels: &Labels, locality: Locality) -> SharedView {
    let metadata = &proxy.metadata;
    let interest = &mesh.interest;
    let seen = |key: &&String| interest.label_keys.contains(*key);
    let mut view = SharedView {
        layer: Layer::Whole,
        kind: proxy.kind,
        namespace: Arc::clone(&proxy.namespace),
        dns_domain: Arc::clone(&proxy.dns_domain),
        cluster_id: Arc::clone(&metadata.cluster_id),
        network: Arc::clone(&metadata.network),
        network_view: metadata.network_view.clone(),
        families: proxy.families(),
        reach: Reach::of(proxy.families(), mesh.settings.features.dual_stack),
        interception: metadata.interception,
        labels: labels.iter().filter(|(k, _)| seen(k)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        locality: if interest.locality { locality } else { Locality::default() },
        version: metadata.version,
        proxy_config: proxy.proxy_config(&mesh.settings.default_proxy_config).clone(),
        dns_capture: metadata.dns_capture,
        http10: metadata.http10 || mesh.settings.features.http10,
        idle_timeout: metadata.idle_timeout.clone(),
        tls_client: metadata.tls_client.clone(),
        secret_servers: metadata.secret_servers,
        announces_http: mesh.settings.features.announce_http && proxy.says_extensions,
        unprivileged: metadata.unprivileged,
        reserved_ports: metadata.reserved_ports.clone(),
        outbound_exact_balance: metadata.outbound_exact_balance,
        http_proxy_port: metadata.http_proxy_port,
        dns_proxy_addr: metadata.dns_proxy_addr.clone(),
    };
    if upstreams::layered(mesh, &view) {
        view.layer = Layer::Upper;
    }
    view
}
