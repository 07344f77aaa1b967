//! `MeshConfig` and its defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AccessLogEncoding, Ca, CaCertificate, Certificate, ConfigSource, DefaultProviders, DefaultTrafficPolicy,
    ExtensionProvider, H2Upgrade, InboundTrafficPolicy, IngressControllerMode, LabelSelector, MeshTlsConfig,
    OutboundTrafficPolicy, PathNormalization, ProxyConfig, ServiceEntryVisibility, ServiceScopeConfig,
    ServiceSettings,
};
use crate::istio::{HttpRetry, LocalityLbSetting, TcpKeepalive, ZoneAwareLbSetting};
use crate::scalar::Duration;

/// Settings of the mesh as a whole. [`MeshConfig::default`] is the product's built-in configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// Port of the sidecar's listener for redirected outbound traffic; 15001.
    pub proxy_listen_port: i32,
    /// Port of the sidecar's listener for redirected inbound traffic; 15006.
    pub proxy_inbound_listen_port: i32,
    /// Port of the sidecar's HTTP proxy on 127.0.0.1; 0 means none.
    pub proxy_http_port: i32,
    /// Time to connect to an endpoint; 10 s.
    pub connect_timeout: Option<Duration>,
    /// Idle time of HBONE tunnels.
    pub hbone_idle_timeout: Option<Duration>,
    /// Time to find the protocol of a connection whose server speaks first; zero means no limit.
    pub protocol_detection_timeout: Option<Duration>,
    /// Probing of idle connections to endpoints; none.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Value of the annotation `kubernetes.io/ingress.class` that is served; `istio`.
    pub ingress_class: String,
    /// Service whose addresses are written to Ingresses; `istio-ingressgateway`.
    pub ingress_service: String,
    /// Which Ingresses are served; STRICT.
    pub ingress_controller_mode: IngressControllerMode,
    /// Label `istio` of the gateways that serve Ingresses; empty means derived from `ingress_service`.
    pub ingress_selector: String,
    /// Whether proxies trace when a provider is there; true.
    pub enable_tracing: bool,
    /// File of the access log; empty means none.
    pub access_log_file: String,
    /// Format of the access log; empty means Istio's.
    pub access_log_format: String,
    /// Whether the access log is text or JSON.
    pub access_log_encoding: AccessLogEncoding,
    /// Whether access logs go to the bootstrap's access log service.
    pub enable_envoy_access_log_service: bool,
    /// Whether listeners write no access log of their own.
    pub disable_envoy_listener_log: bool,
    /// Settings of proxies.
    pub default_config: ProxyConfig,
    /// What becomes of traffic to unknown hosts; ALLOW_ANY.
    pub outbound_traffic_policy: OutboundTrafficPolicy,
    /// How inbound traffic reaches the workload; PASSTHROUGH.
    pub inbound_traffic_policy: InboundTrafficPolicy,
    /// Where configuration is read; empty means the cluster.
    pub config_sources: Vec<ConfigSource>,
    /// Whether clients use mutual TLS towards sidecars without being told; true.
    pub enable_auto_mtls: Option<bool>,
    /// Trust domain of identities; `cluster.local`.
    pub trust_domain: String,
    /// Further trust domains that count as the mesh's own.
    pub trust_domain_aliases: Vec<String>,
    /// Further roots of trust.
    pub ca_certificates: Vec<CaCertificate>,
    /// Who sees a Service or ServiceEntry that does not say; all.
    pub default_service_export_to: Vec<String>,
    /// Who sees a VirtualService that does not say; all.
    pub default_virtual_service_export_to: Vec<String>,
    /// Who sees a DestinationRule that does not say; all.
    pub default_destination_rule_export_to: Vec<String>,
    /// Namespace of mesh-wide policies; `istio-system`.
    pub root_namespace: String,
    /// Preference by locality; on.
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Preference for the own zone in proportion to capacity; none.
    pub zone_aware_lb_setting: Option<ZoneAwareLbSetting>,
    /// Time between failed look-ups of host names; 60 s.
    pub dns_refresh_rate: Option<Duration>,
    /// Whether HTTP/1.1 towards endpoints is upgraded to HTTP/2; no.
    pub h2_upgrade_policy: H2Upgrade,
    /// Pattern of inbound clusters' names in statistics; empty means the clusters' own.
    pub inbound_cluster_stat_name: String,
    /// Pattern of outbound clusters' names in statistics; empty means the clusters' own.
    pub outbound_cluster_stat_name: String,
    /// Deprecated, without effect.
    pub certificates: Vec<Certificate>,
    /// Settings of services by host.
    pub service_settings: Vec<ServiceSettings>,
    /// Scopes of services across clusters (ambient).
    pub service_scope_configs: Vec<ServiceScopeConfig>,
    /// Whether the agent merges the application's metrics into the proxy's; true.
    pub enable_prometheus_merge: Option<bool>,
    /// Deprecated, without effect.
    pub verify_certificate_at_client: Option<bool>,
    /// Declared, without effect in the reference.
    pub ca: Option<Ca>,
    /// Providers of tracing, metrics, logs, authorization and secrets; `prometheus`, `stackdriver` and `envoy` are built
    /// in.
    pub extension_providers: Vec<ExtensionProvider>,
    /// Providers where no Telemetry names any.
    pub default_providers: DefaultProviders,
    /// Namespaces that are looked at; empty means all.
    pub discovery_selectors: Vec<LabelSelector>,
    /// How paths are normalised before they are matched.
    pub path_normalization: PathNormalization,
    /// When routes that do not say try again; absent means the built-in policy.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// When inbound routes try again: attempts, conditions and backoff count; absent means the built-in policy.
    pub default_inbound_http_retry_policy: Option<HttpRetry>,
    /// TLS within the mesh.
    #[serde(rename = "meshMTLS")]
    pub mesh_mtls: Option<MeshTlsConfig>,
    /// TLS elsewhere.
    pub tls_defaults: Option<MeshTlsConfig>,
    /// What clusters use that no DestinationRule tells otherwise.
    pub default_traffic_policy: Option<DefaultTrafficPolicy>,
    /// Which namespaces see ServiceEntries.
    pub service_entry_visibility: Option<ServiceEntryVisibility>,
}

impl Default for MeshConfig {
    fn default() -> Self {
        let everyone = || vec!["*".to_owned()];
        Self {
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            proxy_http_port: 0,
            connect_timeout: Some(Duration::from_secs(10)),
            hbone_idle_timeout: None,
            protocol_detection_timeout: Some(Duration::ZERO),
            tcp_keepalive: None,
            ingress_class: "istio".to_owned(),
            ingress_service: "istio-ingressgateway".to_owned(),
            ingress_controller_mode: IngressControllerMode::Strict,
            ingress_selector: String::new(),
            enable_tracing: true,
            access_log_file: String::new(),
            access_log_format: String::new(),
            access_log_encoding: AccessLogEncoding::Text,
            enable_envoy_access_log_service: false,
            disable_envoy_listener_log: false,
            default_config: ProxyConfig::default(),
            outbound_traffic_policy: OutboundTrafficPolicy::default(),
            inbound_traffic_policy: InboundTrafficPolicy::default(),
            config_sources: Vec::new(),
            enable_auto_mtls: Some(true),
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            ca_certificates: Vec::new(),
            default_service_export_to: everyone(),
            default_virtual_service_export_to: everyone(),
            default_destination_rule_export_to: everyone(),
            root_namespace: "istio-system".to_owned(),
            locality_lb_setting: Some(LocalityLbSetting {
                enabled: Some(true),
                ..LocalityLbSetting::default()
            }),
            zone_aware_lb_setting: None,
            dns_refresh_rate: Some(Duration::from_secs(60)),
            h2_upgrade_policy: H2Upgrade::DoNotUpgrade,
            inbound_cluster_stat_name: String::new(),
            outbound_cluster_stat_name: String::new(),
            certificates: Vec::new(),
            service_settings: Vec::new(),
            service_scope_configs: Vec::new(),
            enable_prometheus_merge: Some(true),
            verify_certificate_at_client: None,
            ca: None,
            extension_providers: ExtensionProvider::built_in(),
            default_providers: DefaultProviders::default(),
            discovery_selectors: Vec::new(),
            path_normalization: PathNormalization::default(),
            default_http_retry_policy: None,
            default_inbound_http_retry_policy: None,
            mesh_mtls: None,
            tls_defaults: None,
            default_traffic_policy: None,
            service_entry_visibility: None,
        }
    }
}
