//! The parts of `MeshConfig` that set policy: traffic, trust, TLS, visibility, scopes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::{ClientTlsSettings, ConnectionPoolSettings, OutlierDetection};
use crate::scalar::Duration;

/// Which Ingresses are served.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IngressControllerMode {
    /// As `Strict`.
    #[default]
    Unspecified,
    /// None.
    Off,
    /// Those of the class and those without a class.
    Default,
    /// Those of the class.
    Strict,
}

/// Whether an access log is text or JSON.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccessLogEncoding {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// What becomes of traffic to unknown hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboundTrafficPolicy {
    /// Let pass or not. In a document that names the policy but no mode: REGISTRY_ONLY.
    #[serde(default)]
    pub mode: OutboundMode,
    /// TLS towards unknown hosts.
    #[serde(default)]
    pub tls: Option<ClientTlsSettings>,
}

impl Default for OutboundTrafficPolicy {
    fn default() -> Self {
        Self { mode: OutboundMode::AllowAny, tls: None }
    }
}

/// Whether traffic to unknown hosts passes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundMode {
    /// It does not.
    #[default]
    RegistryOnly,
    /// It does, to the address that the client asked for.
    AllowAny,
    /// It does, HTTP by the name in the request.
    AllowAnyDynamicDns,
}

/// How inbound traffic reaches the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InboundTrafficPolicy {
    /// The way.
    pub mode: InboundMode,
}

/// Ways of inbound traffic to the workload.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InboundMode {
    /// At the address that the client asked for.
    #[default]
    Passthrough,
    /// At 127.0.0.1.
    Localhost,
}

/// Whether HTTP/1.1 towards endpoints is upgraded to HTTP/2.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2Upgrade {
    /// No.
    #[default]
    DoNotUpgrade,
    /// Yes.
    Upgrade,
}

/// A place where configuration is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigSource {
    /// `fs:///dir`, `k8s://` or `xds://host:port`.
    pub address: String,
    /// TLS towards it.
    pub tls_settings: Option<ClientTlsSettings>,
    /// What is asked for.
    pub subscribed_resources: Vec<SubscribedResource>,
}

/// What is asked of a configuration source.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscribedResource {
    /// Services.
    #[default]
    ServiceRegistry,
}

/// Further roots of trust; exactly one of `pem` and `spiffe_bundle_url` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CaCertificate {
    /// Certificates in PEM.
    pub pem: Option<String>,
    /// Where a SPIFFE bundle is.
    pub spiffe_bundle_url: Option<String>,
    /// Kubernetes signers whose certificates they verify; empty means all.
    pub cert_signers: Vec<String>,
    /// Trust domains whose certificates they verify; empty means the mesh's.
    pub trust_domains: Vec<String>,
}

/// Deprecated: certificates for control plane components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    /// Secret that gets it.
    pub secret_name: String,
    /// Names in it.
    pub dns_names: Vec<String>,
}

/// An external certificate authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ca {
    /// Its address.
    pub address: String,
    /// TLS towards it.
    pub tls_settings: Option<ClientTlsSettings>,
    /// Time for a request.
    pub request_timeout: Option<Duration>,
    /// Whether the control plane asks it on behalf of workloads.
    pub istiod_side: bool,
}

/// Settings of some services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettings {
    /// The settings.
    pub settings: ServiceSettingsValues,
    /// Hosts of the services; `*.` wildcards are allowed.
    pub hosts: Vec<String>,
}

/// Settings of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettingsValues {
    /// Whether only endpoints of the client's own cluster are used.
    pub cluster_local: bool,
}

/// Scope of some services across clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceScopeConfig {
    /// Their namespaces.
    pub namespace_selector: Option<LabelSelector>,
    /// The services.
    pub services_selector: Option<LabelSelector>,
    /// The scope.
    pub scope: ServiceScope,
}

/// Scopes of services across clusters.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceScope {
    /// The own cluster.
    #[default]
    Local,
    /// All clusters.
    Global,
}

/// Labels that all must be there and requirements that all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels.
    pub match_labels: BTreeMap<String, String>,
    /// Requirements.
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values (In and NotIn).
    pub values: Vec<String>,
}

/// How paths are normalised before they are matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PathNormalization {
    /// How.
    pub normalization: NormalizationType,
}

/// Ways to normalise paths.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NormalizationType {
    /// As `Base`.
    #[default]
    Default,
    /// Not at all.
    None,
    /// As RFC 3986 has it.
    Base,
    /// And runs of slashes made one.
    MergeSlashes,
    /// And escaped slashes made plain first.
    DecodeAndMergeSlashes,
}

/// Limits of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshTlsConfig {
    /// Oldest protocol; default TLS 1.2.
    pub min_protocol_version: MeshTlsProtocol,
    /// Curves; empty means Envoy's default.
    pub ecdh_curves: Vec<String>,
    /// Cipher suites; empty means Envoy's default.
    pub cipher_suites: Vec<String>,
}

/// Versions of TLS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum MeshTlsProtocol {
    /// Whatever is the default.
    #[default]
    #[serde(rename = "TLS_AUTO")]
    Auto,
    /// TLS 1.2.
    #[serde(rename = "TLSV1_2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "TLSV1_3")]
    V1_3,
}

/// What clusters use that no DestinationRule tells otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultTrafficPolicy {
    /// Limits and times of connections.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When endpoints are set aside.
    pub outlier_detection: Option<OutlierDetection>,
}

/// Which namespaces see ServiceEntries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryVisibility {
    /// Where no policy matches.
    pub default_visibility: Visibility,
    /// Whether sidecars are bound by it too.
    pub apply_to_sidecars: bool,
    /// Policies, the first that matches is taken.
    pub policies: Vec<VisibilityPolicy>,
}

/// Who sees ServiceEntries.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Visibility {
    /// Not said: all.
    #[default]
    VisibilityUnspecified,
    /// Nobody.
    None,
    /// Their own namespace.
    Namespace,
    /// All.
    Public,
}

/// Visibility of the ServiceEntries of some namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VisibilityPolicy {
    /// Who sees them.
    pub visibility: Visibility,
    /// Any of these must match.
    pub matching_rules: Vec<VisibilityMatch>,
}

/// Namespaces of ServiceEntries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VisibilityMatch {
    /// The namespaces, by label.
    pub namespace_selector: Option<LabelSelector>,
}

/// Providers where no Telemetry names any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProviders {
    /// Of traces.
    pub tracing: Vec<String>,
    /// Of metrics.
    pub metrics: Vec<String>,
    /// Of access logs.
    pub access_logging: Vec<String>,
}
