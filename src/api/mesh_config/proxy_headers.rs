//! Headers that proxies add, as `ProxyConfig` sets them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Headers that proxies add. What is absent is as by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyHeaders {
    /// What becomes of `X-Forwarded-Client-Cert`.
    pub forwarded_client_cert: ForwardClientCertDetails,
    /// What `X-Forwarded-Client-Cert` tells.
    pub set_current_client_cert_details: Option<SetCurrentClientCertDetails>,
    /// `X-Request-Id`.
    pub request_id: Option<DisableHeader>,
    /// `server`.
    pub server: Option<ServerHeader>,
    /// `X-Envoy-Attempt-Count`.
    pub attempt_count: Option<DisableHeader>,
    /// Envoy's debugging headers.
    pub envoy_debug_headers: Option<DisableHeader>,
    /// `X-Envoy-Peer-Metadata`.
    pub metadata_exchange_headers: Option<MetadataExchangeHeaders>,
    /// Keep the case of HTTP/1 headers.
    pub preserve_http1_header_case: Option<bool>,
    /// `X-Forwarded-Host`.
    pub x_forwarded_host: Option<EnableHeader>,
    /// `X-Forwarded-Port`.
    pub x_forwarded_port: Option<EnableHeader>,
}

/// A header that is there unless turned off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DisableHeader {
    /// Whether it is off; absent means no.
    pub disabled: Option<bool>,
}

/// A header that is absent unless turned on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnableHeader {
    /// Whether it is on; absent means no.
    pub enabled: Option<bool>,
}

/// The header `server`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerHeader {
    /// Whether it is off; absent means no.
    pub disabled: Option<bool>,
    /// Its value; empty means `istio-envoy`.
    pub value: String,
}

/// The header `X-Envoy-Peer-Metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataExchangeHeaders {
    /// Towards whom.
    pub mode: MetadataExchangeMode,
}

/// Towards whom metadata is told.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MetadataExchangeMode {
    /// Everybody.
    #[default]
    Undefined,
    /// Services of the mesh.
    InMesh,
}

/// What `X-Forwarded-Client-Cert` tells of the client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SetCurrentClientCertDetails {
    /// Its subject; absent means yes.
    pub subject: Option<bool>,
    /// Itself.
    pub cert: Option<bool>,
    /// Its chain.
    pub chain: Option<bool>,
    /// Its DNS names; absent means yes.
    pub dns: Option<bool>,
    /// Its URI; absent means yes.
    pub uri: Option<bool>,
}

/// What becomes of `X-Forwarded-Client-Cert`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ForwardClientCertDetails {
    /// As by default.
    #[default]
    Undefined,
    /// Removed.
    Sanitize,
    /// Kept when the connection is mutual TLS.
    ForwardOnly,
    /// Appended to when the connection is mutual TLS.
    AppendForward,
    /// Replaced when the connection is mutual TLS.
    SanitizeSet,
    /// Kept always.
    AlwaysForwardOnly,
}
