//! `node.metadata`: the fields that change what a proxy gets.
//!
//! Source: `shared/spec/xds.md` 1.2. Booleans and numbers may come as JSON strings.

use std::sync::Arc;

use api::mesh_config::ProxyConfig;
use serde_json::{Map, Value};

use super::{Interception, NodeError, Version, beginning};
use crate::config::Labels;
use crate::content::Ref;

/// Certificates that a proxy reads from its own files in place of SDS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileCertificates {
    /// Certificate chain.
    pub chain: String,
    /// Private key.
    pub key: String,
    /// Trusted roots.
    pub root: String,
}

impl FileCertificates {
    /// Whether no file is named.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty() && self.key.is_empty() && self.root.is_empty()
    }
}

/// Servers of secrets beside a proxy, each on a Unix socket that its bootstrap has a cluster for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretServers {
    /// `credential`: for names that begin with `sds://` (cluster `sds-external`).
    pub credentials: bool,
    /// `file-credential`: for files, instead of the agent (cluster `sds-files-grpc`).
    pub files: bool,
}

/// The parsed metadata. Field names follow the metadata keys.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// `NAMESPACE`.
    pub namespace: String,
    /// `INSTANCE_IPS`.
    pub instance_ips: String,
    /// `LABELS`.
    pub labels: Labels,
    /// `STATIC_LABELS`.
    pub static_labels: Labels,
    /// `PROXY_CONFIG`; `None` if absent or null.
    pub proxy_config: Option<Ref<ProxyConfig>>,
    /// `ISTIO_VERSION` as sent; EnvoyFilter patterns look at it.
    pub istio_version: String,
    /// `ISTIO_VERSION`, parsed.
    pub version: Version,
    /// `NODE_NAME`.
    pub node_name: Arc<str>,
    /// `CLUSTER_ID`.
    pub cluster_id: Arc<str>,
    /// `NETWORK`.
    pub network: Arc<str>,
    /// `REQUESTED_NETWORK_VIEW`.
    pub network_view: Vec<String>,
    /// `MESH_ID`.
    pub mesh_id: String,
    /// `WORKLOAD_NAME`.
    pub workload_name: String,
    /// `SERVICE_ACCOUNT`.
    pub service_account: String,
    /// `INTERCEPTION_MODE`.
    pub interception: Interception,
    /// `HTTP_PROXY_PORT`; `None` if not set.
    pub http_proxy_port: Option<u16>,
    /// `POD_PORTS`: container ports by name.
    pub pod_ports: Vec<(String, u16)>,
    /// `HTTP10` is `"1"`.
    pub http10: bool,
    /// `IDLE_TIMEOUT` as sent (a Go duration).
    pub idle_timeout: String,
    /// `DNS_CAPTURE`.
    pub dns_capture: bool,
    /// `DNS_AUTO_ALLOCATE`.
    pub dns_auto_allocate: bool,
    /// `TLS_CLIENT_*`.
    pub tls_client: FileCertificates,
    /// `TLS_SERVER_*`.
    pub tls_server: FileCertificates,
    /// `credential`, `file-credential`.
    pub secret_servers: SecretServers,
    /// `UNPRIVILEGED_POD`.
    pub unprivileged: bool,
    /// Ports of the proxy itself that no wildcard listener may take.
    pub reserved_ports: Vec<u16>,
    /// `INBOUND_LISTENER_EXACT_BALANCE`.
    pub inbound_exact_balance: bool,
    /// `OUTBOUND_LISTENER_EXACT_BALANCE`.
    pub outbound_exact_balance: bool,
    /// `AUTO_REGISTER_GROUP`.
    pub auto_register_group: String,
    /// `WORKLOAD_ENTRY`.
    pub workload_entry: String,
    /// `DNS_PROXY_ADDR`.
    pub dns_proxy_addr: String,
    /// `ENABLE_SELF_DISCOVERY`: it asks for the assignment of its own workload.
    pub self_discovery: bool,
    /// Names in `EXTENSIONS`-style declarations of Envoy builds that carry Istio's own filters are looked up here.
    pub raw: Arc<Map<String, Value>>,
}

const RESERVED_PORT_KEYS: [&str; 4] = [
    "ENVOY_STATUS_PORT",
    "ENVOY_PROMETHEUS_PORT",
    "ENVOY_SECURE_METRICS_PORT",
    "ENVOY_SECURE_MERGED_METRICS_PORT",
];

impl Metadata {
    /// Reads the metadata object; anything but an object counts as empty.
    ///
    /// # Errors
    /// `PROXY_CONFIG` or another structured field has a wrong form.
    pub(super) fn parse(metadata: &Value) -> Result<Self, NodeError> {
        let raw = metadata.as_object().cloned().unwrap_or_default();
        let reader = Reader(&raw);
        let istio_version = reader.text("ISTIO_VERSION");
        Ok(Self {
            namespace: reader.text("NAMESPACE"),
            instance_ips: reader.text("INSTANCE_IPS"),
            labels: reader.labels("LABELS"),
            static_labels: reader.labels("STATIC_LABELS"),
            proxy_config: reader.proxy_config()?,
            version: Version::parse(&istio_version),
            istio_version,
            node_name: Arc::from(reader.text("NODE_NAME")),
            cluster_id: Arc::from(reader.text("CLUSTER_ID")),
            network: Arc::from(reader.text("NETWORK")),
            network_view: reader.list("REQUESTED_NETWORK_VIEW"),
            mesh_id: reader.text("MESH_ID"),
            workload_name: reader.text("WORKLOAD_NAME"),
            service_account: reader.text("SERVICE_ACCOUNT"),
            interception: reader.interception(),
            http_proxy_port: reader.port("HTTP_PROXY_PORT"),
            pod_ports: reader.pod_ports(),
            http10: reader.text("HTTP10") == "1",
            idle_timeout: reader.text("IDLE_TIMEOUT"),
            dns_capture: reader.flag("DNS_CAPTURE"),
            dns_auto_allocate: reader.flag("DNS_AUTO_ALLOCATE"),
            tls_client: reader.certificates("TLS_CLIENT"),
            tls_server: reader.certificates("TLS_SERVER"),
            secret_servers: SecretServers {
                credentials: reader.flag("credential"),
                files: reader.flag("file-credential"),
            },
            unprivileged: reader.flag("UNPRIVILEGED_POD"),
            reserved_ports: RESERVED_PORT_KEYS.iter().filter_map(|k| reader.port(k)).collect(),
            inbound_exact_balance: reader.flag("INBOUND_LISTENER_EXACT_BALANCE"),
            outbound_exact_balance: reader.flag("OUTBOUND_LISTENER_EXACT_BALANCE"),
            auto_register_group: reader.text("AUTO_REGISTER_GROUP"),
            workload_entry: reader.text("WORKLOAD_ENTRY"),
            dns_proxy_addr: reader.text("DNS_PROXY_ADDR"),
            self_discovery: reader.flag("ENABLE_SELF_DISCOVERY"),
            raw: Arc::new(raw),
        })
    }
}

/// Reads fields of the raw object, lenient about strings that stand for booleans and numbers.
struct Reader<'a>(&'a Map<String, Value>);

impl Reader<'_> {
    fn text(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(Value::String(s)) => s.clone(),
            Some(v @ (Value::Number(_) | Value::Bool(_))) => v.to_string(),
            _ => String::new(),
        }
    }

    fn flag(&self, key: &str) -> bool {
        matches!(self.text(key).as_str(), "true" | "1" | "TRUE" | "True" | "t" | "T")
    }

    /// A port number; proto Struct numbers come as doubles.
    fn port(&self, key: &str) -> Option<u16> {
        let text = self.text(key);
        text.strip_suffix(".0").unwrap_or(&text).parse().ok()
    }

    fn list(&self, key: &str) -> Vec<String> {
        let text = match self.0.get(key) {
            Some(Value::Array(items)) => {
                return items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
            }
            _ => self.text(key),
        };
        text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    }

    fn labels(&self, key: &str) -> Labels {
        let Some(Value::Object(map)) = self.0.get(key) else { return Labels::new() };
        map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    }

    fn interception(&self) -> Interception {
        match self.text("INTERCEPTION_MODE").as_str() {
            "TPROXY" => Interception::Tproxy,
            "NONE" => Interception::None,
            _ => Interception::Redirect,
        }
    }

    fn certificates(&self, prefix: &str) -> FileCertificates {
        FileCertificates {
            chain: self.text(&format!("{prefix}_CERT_CHAIN")),
            key: self.text(&format!("{prefix}_KEY")),
            root: self.text(&format!("{prefix}_ROOT_CERT")),
        }
    }

    /// `POD_PORTS` is a JSON string of `[{name, containerPort}]`; what cannot be read names no port.
    fn pod_ports(&self) -> Vec<(String, u16)> {
        let text = self.text("POD_PORTS");
        let Ok(Value::Array(ports)) = serde_json::from_str(&text) else { return Vec::new() };
        ports
            .iter()
            .filter_map(|p| {
                let number = p.get("containerPort")?.as_u64()?;
                Some((p.get("name")?.as_str()?.to_owned(), u16::try_from(number).ok()?))
            })
            .collect()
    }

    fn proxy_config(&self) -> Result<Option<Ref<ProxyConfig>>, NodeError> {
        match self.0.get("PROXY_CONFIG") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => ProxyConfig::default()
                .apply(value.clone())
                .map(|(config, _)| Some(Ref::new(config)))
                .map_err(|e| NodeError::Metadata {
                    field: "PROXY_CONFIG".into(),
                    reason: beginning(&e.to_string()),
                }),
        }
    }
}
