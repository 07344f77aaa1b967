//! Settings of the whole mesh: mesh configuration, networks, flags.

use std::sync::Arc;

use api::mesh_config::{MeshConfig, MeshNetworks, ProxyConfig};

use super::JwksMode;
use crate::content::Ref;

/// What is set once for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The mesh configuration, merged over the built-in defaults.
    pub mesh: Ref<MeshConfig>,
    /// The ProxyConfig of proxies that bring none: `mesh.defaultConfig`.
    pub default_proxy_config: Ref<ProxyConfig>,
    /// The networks.
    pub networks: Ref<MeshNetworks>,
    /// Flags of the control plane.
    pub features: Ref<Features>,
    /// DNS domain of Kubernetes services (`--domain`).
    pub domain: Arc<str>,
    /// Name of this cluster (`--clusterID`).
    pub cluster: Arc<str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh: Ref::default(),
            default_proxy_config: Ref::default(),
            networks: Ref::default(),
            features: Ref::default(),
            domain: Arc::from("cluster.local"),
            cluster: Arc::from("Kubernetes"),
        }
    }
}

/// A standard that TLS is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compliance {
    /// None.
    #[default]
    None,
    /// FIPS 140-2.
    Fips1402,
    /// FIPS 140-3.
    Fips1403,
    /// Key exchange that withstands quantum computers.
    Pqc,
}

/// Flags that shape what is sent, by the stem of their environment variable.
///
/// Source: `shared/spec/xds.md` 10.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Features {
    /// `PILOT_ENABLE_TELEMETRY_LABEL`: cluster metadata name the services.
    pub telemetry_label: bool,
    /// `PILOT_ENDPOINT_TELEMETRY_LABEL`: endpoint metadata name the workload.
    pub endpoint_telemetry_label: bool,
    /// `PILOT_ENABLE_MONGO_FILTER`.
    pub mongo_filter: bool,
    /// `PILOT_ENABLE_REDIS_FILTER`.
    pub redis_filter: bool,
    /// `PILOT_HTTP10`.
    pub http10: bool,
    /// `PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES`.
    pub eds_for_headless: bool,
    /// `PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER`: the endpoints of a headless service are chains of one listener on a
    /// TCP port, and not a listener each.
    pub headless_filter_chains: bool,
    /// `ENABLE_MULTICLUSTER_HEADLESS`: names of headless services stand for endpoints of all clusters.
    pub multicluster_headless: bool,
    /// `PILOT_SEND_UNHEALTHY_ENDPOINTS`.
    pub send_unhealthy: bool,
    /// `PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS`.
    pub auto_send_unhealthy: bool,
    /// `PILOT_ENABLE_PERSISTENT_SESSION_FILTER`.
    pub persistent_session_filter: bool,
    /// `ENABLE_LOCALITY_WEIGHTED_LB_CONFIG`.
    pub locality_weighted_lb: bool,
    /// `PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN`.
    pub absolute_fqdn_domain: bool,
    /// `PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE`.
    pub merge_sidecar_ingress: bool,
    /// `ISTIO_DUAL_STACK`.
    pub dual_stack: bool,
    /// `PILOT_SCOPE_GATEWAY_TO_NAMESPACE`.
    pub scope_gateway_to_namespace: bool,
    /// `RESOLVE_HOSTNAME_GATEWAYS`: gateways of networks that are known by name are resolved.
    pub resolve_hostname_gateways: bool,
    /// `PILOT_ENABLE_QUIC_LISTENERS`: gateways that end TLS serve HTTP/3 as well.
    pub quic_listeners: bool,
    /// `PILOTHOUSE_ANSWER_MISDIRECTED`: gateways answer 421 to requests that belong on a connection to another of
    /// their servers.
    pub answer_misdirected: bool,
    /// `PILOTHOUSE_ANNOUNCE_HTTP`: mesh mTLS of Envoys that say which extensions they have announces whether HTTP is inside.
    pub announce_http: bool,
    /// `PILOT_FILTER_GATEWAY_CLUSTER_CONFIG`.
    pub filter_gateway_clusters: bool,
    /// `PILOT_SIDECAR_USE_REMOTE_ADDRESS`.
    pub sidecar_use_remote_address: bool,
    /// `PILOT_ENABLE_XDS_IDENTITY_CHECK`.
    pub xds_identity_check: bool,
    /// `PILOT_SKIP_VALIDATE_TRUST_DOMAIN`.
    pub skip_validate_trust_domain: bool,
    /// `ENABLE_100_CONTINUE_HEADERS`.
    pub proxy_100_continue: bool,
    /// `PILOT_TRACE_SAMPLING`, in hundredths of a percent.
    pub trace_sampling: u32,
    /// `MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP`; 0 leaves the field out.
    pub max_connections_per_event: u32,
    /// `PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT`, in milliseconds; 0 leaves the field out.
    pub transport_socket_connect_timeout_ms: u64,
    /// `PILOT_DNS_CARES_UDP_MAX_QUERIES`.
    pub dns_udp_max_queries: u32,
    /// `PILOT_DNS_JITTER_DURATION`, in milliseconds.
    pub dns_jitter_ms: u64,
    /// `PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS`: most unknown hosts whose addresses are kept.
    pub dynamic_dns_max_hosts: u32,
    /// `DISABLE_SHADOW_HOST_SUFFIX`: copies of requests keep their host.
    pub disable_shadow_host_suffix: bool,
    /// `DISABLE_TRACK_REMAINING_CB_METRICS`: statistics do not tell how much is left of limits.
    pub disable_track_remaining: bool,
    /// `PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION`: gateways put hosts with the same routes together.
    pub route_collapse: bool,
    /// `ENABLE_HCM_INTERNAL_NETWORKS`: address ranges of the mesh's networks count as internal everywhere.
    pub internal_networks: bool,
    /// `PILOT_JWT_ENABLE_REMOTE_JWKS`: who fetches the keys of those who issue tokens.
    pub jwks_mode: JwksMode,
    /// `COMPLIANCE_POLICY`: the standard that TLS is held to.
    pub compliance: Compliance,
    /// `ENABLE_TLS_ON_SIDECAR_INGRESS`: TLS of a Sidecar's ingress listener ends at the proxy where mesh mTLS is off.
    pub tls_on_sidecar_ingress: bool,
    /// `ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY`: policies without targets select gateways of the Gateway API by labels.
    pub selector_gateway_policy: bool,
    /// `PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS`: several external authorizers may be asked for one workload.
    pub several_authorizers: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            telemetry_label: true,
            endpoint_telemetry_label: true,
            mongo_filter: true,
            redis_filter: false,
            http10: false,
            eds_for_headless: false,
            headless_filter_chains: false,
            multicluster_headless: true,
            send_unhealthy: false,
            auto_send_unhealthy: true,
            persistent_session_filter: false,
            locality_weighted_lb: false,
            absolute_fqdn_domain: true,
            merge_sidecar_ingress: false,
            dual_stack: false,
            scope_gateway_to_namespace: false,
            resolve_hostname_gateways: true,
            quic_listeners: false,
            answer_misdirected: false,
            announce_http: true,
            filter_gateway_clusters: false,
            sidecar_use_remote_address: false,
            xds_identity_check: true,
            skip_validate_trust_domain: false,
            proxy_100_continue: true,
            trace_sampling: 100,
            max_connections_per_event: 1,
            transport_socket_connect_timeout_ms: 15_000,
            dns_udp_max_queries: 100,
            dns_jitter_ms: 100,
            dynamic_dns_max_hosts: 1024,
            disable_shadow_host_suffix: true,
            disable_track_remaining: true,
            route_collapse: true,
            internal_networks: false,
            jwks_mode: JwksMode::ControlPlane,
            compliance: Compliance::None,
            tls_on_sidecar_ingress: false,
            selector_gateway_policy: true,
            several_authorizers: false,
        }
    }
}
