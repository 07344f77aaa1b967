//! `ProxyConfig`, the settings of proxies (`defaultConfig` of the mesh), and its defaults.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConnectionSettings, ForwardClientCertDetails, ProxyHeaders, ProxyTracing};
use crate::istio::{ClientTlsSettings, ProxyImage, ReadinessProbe, TcpKeepalive};
use crate::scalar::Duration;

/// Settings of proxies. [`ProxyConfig::default`] is the product's built-in configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Directory of generated configuration; `./etc/istio/proxy`.
    pub config_path: String,
    /// Envoy's binary; `/usr/local/bin/envoy`.
    pub binary_path: String,
    /// Name of the service cluster in the node; `istio-proxy`. Excludes `tracing_service_name`.
    pub service_cluster: Option<String>,
    /// How the service is named in traces; excludes `service_cluster`.
    pub tracing_service_name: Option<TracingServiceName>,
    /// Time in which connections drain at a restart; 45 s.
    pub drain_duration: Option<Duration>,
    /// Address of the control plane; `istiod.istio-system.svc:15012`.
    pub discovery_address: String,
    /// Deprecated.
    pub discovery_refresh_delay: Option<Duration>,
    /// Deprecated for `tracing`.
    pub zipkin_address: String,
    /// Address of a statsd collector; empty means none.
    pub statsd_udp_address: String,
    /// Deprecated for `envoy_metrics_service`.
    pub envoy_metrics_service_address: String,
    /// Port of Envoy's administration; 15000.
    pub proxy_admin_port: i32,
    /// Deprecated.
    pub availability_zone: String,
    /// TLS towards the control plane; MUTUAL_TLS.
    pub control_plane_auth_policy: AuthenticationPolicy,
    /// A bootstrap to use as it is.
    pub custom_config_file: String,
    /// Longest name in statistics; 189.
    pub stat_name_length: i32,
    /// Worker threads; absent means by the CPU limit, 0 means all cores.
    pub concurrency: Option<i32>,
    /// A template of the bootstrap.
    pub proxy_bootstrap_template_path: String,
    /// How inbound traffic is intercepted.
    pub interception_mode: InboundInterceptionMode,
    /// Traces.
    pub tracing: Option<ProxyTracing>,
    /// Deprecated.
    pub sds: Option<ProxySds>,
    /// Access log service.
    pub envoy_access_log_service: Option<RemoteService>,
    /// Metrics service.
    pub envoy_metrics_service: Option<RemoteService>,
    /// Environment variables of the proxy; those that start with `ISTIO_META_` become node metadata.
    pub proxy_metadata: BTreeMap<String, String>,
    /// Values of Envoy's runtime.
    pub runtime_values: BTreeMap<String, String>,
    /// Port of the agent's health and metrics; 15020.
    pub status_port: i32,
    /// Further tags of statistics.
    pub extra_stat_tags: Vec<String>,
    /// What stands before a gateway.
    pub gateway_topology: Option<Topology>,
    /// Time between the signal to end and the end; 5 s.
    pub termination_drain_duration: Option<Duration>,
    /// ID of the mesh; empty means the trust domain.
    pub mesh_id: String,
    /// How a virtual machine's health is found.
    pub readiness_probe: Option<ReadinessProbe>,
    /// Which statistics are kept.
    pub proxy_stats_matcher: Option<ProxyStatsMatcher>,
    /// Whether the application starts after the proxy is ready.
    pub hold_application_until_proxy_starts: Option<bool>,
    /// Further roots of trust in PEM.
    pub ca_certificates_pem: Vec<String>,
    /// The proxy's image.
    pub image: Option<ProxyImage>,
    /// Hardware for private keys.
    pub private_key_provider: Option<PrivateKeyProvider>,
    /// Headers that proxies add.
    pub proxy_headers: Option<ProxyHeaders>,
    /// Time after which access logs are written to their file.
    pub file_flush_interval: Option<Duration>,
    /// Kibibytes after which access logs are written to their file; 0 means Envoy's default.
    pub file_flush_min_size_kb: u32,
    /// Whether statistics may be compressed; absent means yes.
    pub stats_compression: Option<bool>,
    /// Limits and times of downstream connections.
    pub connection_settings: Option<ConnectionSettings>,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            config_path: "./etc/istio/proxy".to_owned(),
            binary_path: "/usr/local/bin/envoy".to_owned(),
            service_cluster: Some("istio-proxy".to_owned()),
            tracing_service_name: None,
            drain_duration: Some(Duration::from_secs(45)),
            discovery_address: "istiod.istio-system.svc:15012".to_owned(),
            discovery_refresh_delay: None,
            zipkin_address: String::new(),
            statsd_udp_address: String::new(),
            envoy_metrics_service_address: String::new(),
            proxy_admin_port: 15000,
            availability_zone: String::new(),
            control_plane_auth_policy: AuthenticationPolicy::MutualTls,
            custom_config_file: String::new(),
            stat_name_length: 189,
            concurrency: None,
            proxy_bootstrap_template_path: String::new(),
            interception_mode: InboundInterceptionMode::Redirect,
            tracing: None,
            sds: None,
            envoy_access_log_service: None,
            envoy_metrics_service: None,
            proxy_metadata: BTreeMap::new(),
            runtime_values: BTreeMap::new(),
            status_port: 15020,
            extra_stat_tags: Vec::new(),
            gateway_topology: None,
            termination_drain_duration: Some(Duration::from_secs(5)),
            mesh_id: String::new(),
            readiness_probe: None,
            proxy_stats_matcher: None,
            hold_application_until_proxy_starts: None,
            ca_certificates_pem: Vec::new(),
            image: None,
            private_key_provider: None,
            proxy_headers: None,
            file_flush_interval: None,
            file_flush_min_size_kb: 0,
            stats_compression: None,
            connection_settings: None,
        }
    }
}

/// How the service is named in traces.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TracingServiceName {
    /// Label `app` and namespace.
    #[default]
    AppLabelAndNamespace,
    /// Canonical name.
    CanonicalNameOnly,
    /// Canonical name and namespace.
    CanonicalNameAndNamespace,
}

/// TLS towards the control plane.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthenticationPolicy {
    /// None.
    #[default]
    None,
    /// Mutual TLS.
    MutualTls,
    /// Inherited.
    Inherit,
}

/// How inbound traffic is intercepted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InboundInterceptionMode {
    /// Redirected, which loses the client's address.
    #[default]
    Redirect,
    /// By TPROXY, which keeps it.
    Tproxy,
    /// Not at all.
    None,
}

/// Deprecated: secret discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxySds {
    /// Whether it is on.
    pub enabled: bool,
    /// Where the token is.
    #[serde(rename = "k8sSaJwtPath")]
    pub k8s_sa_jwt_path: String,
}

/// A service of Envoy's own, spoken to over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteService {
    /// Its address, `host:port`.
    pub address: String,
    /// TLS towards it.
    pub tls_settings: Option<ClientTlsSettings>,
    /// Probing of idle connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
}

/// What stands before a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Topology {
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub num_trusted_proxies: u32,
    /// What becomes of `X-Forwarded-Client-Cert`.
    pub forward_client_cert_details: ForwardClientCertDetails,
    /// Connections begin with a PROXY protocol header.
    pub proxy_protocol: Option<ProxyProtocolConfiguration>,
}

/// The PROXY protocol; there is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocolConfiguration {}

/// Which statistics are kept beside the default ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyStatsMatcher {
    /// By prefix.
    pub inclusion_prefixes: Vec<String>,
    /// By suffix.
    pub inclusion_suffixes: Vec<String>,
    /// By RE2 expression.
    pub inclusion_regexps: Vec<String>,
}

/// Hardware for private keys; exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrivateKeyProvider {
    /// CryptoMB.
    pub cryptomb: Option<KeyAccelerator>,
    /// QuickAssist.
    pub qat: Option<KeyAccelerator>,
}

/// Hardware for private keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyAccelerator {
    /// How long requests are gathered.
    pub poll_delay: Option<Duration>,
    /// Whether to do without when it is not there.
    pub fallback: Option<bool>,
}
