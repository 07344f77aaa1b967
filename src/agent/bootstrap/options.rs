//! What a bootstrap is made from, and what a user can get wrong in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Everything that a bootstrap depends on.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// Who the proxy is.
    pub node: Node,
    /// Where its configuration comes from (cluster `xds-grpc`).
    pub control_plane: ControlPlane,
    /// Unix socket of the process that serves `default`, `ROOTCA` and file secrets (cluster `sds-grpc`).
    pub sds_socket: PathBuf,
    /// Where Envoy's admin interface listens. Default 127.0.0.1:15000.
    #[serde(default)]
    pub admin: Admin,
    /// Ask for the static listener 15090 with `/stats/prometheus`.
    #[serde(default)]
    pub prometheus_listener: bool,
    /// Ask for the static listener 15021 with `/healthz/ready`, and say who answers.
    #[serde(default)]
    pub status_listener: Option<StatusBackend>,
    /// `ProxyConfig.runtimeValues`: runtime keys to set; an empty value removes a default.
    #[serde(default)]
    pub runtime_values: BTreeMap<String, String>,
    /// More stat names that Envoy keeps, by prefix (`proxyStatsMatcher.inclusionPrefixes`).
    #[serde(default)]
    pub stats_inclusion_prefixes: Vec<String>,
    /// Keep every stat that Envoy has: no inclusion list at all. For tests and for looking around.
    #[serde(default)]
    pub all_stats: bool,
    /// A protobuf duration such as `5s`; Envoy's default is 5 s.
    #[serde(default)]
    pub stats_flush_interval: Option<String>,
    /// Limit of connections over all listeners (`connectionSettings.globalDownstreamConnectionLimit`).
    #[serde(default = "no_limit")]
    pub max_downstream_connections: u32,
}

const fn no_limit() -> u32 {
    i32::MAX.unsigned_abs()
}

impl Options {
    /// Options with every default, for the node `node` of the plaintext control plane `address`.
    #[must_use]
    pub fn new(node: Node, address: Address, sds_socket: PathBuf) -> Self {
        Self {
            node,
            control_plane: ControlPlane { address, protocol: Protocol::Delta, tls: None },
            sds_socket,
            admin: Admin::default(),
            prometheus_listener: false,
            status_listener: None,
            runtime_values: BTreeMap::new(),
            stats_inclusion_prefixes: Vec::new(),
            all_stats: false,
            stats_flush_interval: None,
            max_downstream_connections: no_limit(),
        }
    }

    /// Looks for what Envoy or the control plane would refuse later.
    ///
    /// # Errors
    /// The first [`OptionsError`], naming the field.
    pub fn check(&self) -> Result<(), OptionsError> {
        for (field, value) in [("node.pod", &self.node.pod), ("node.namespace", &self.node.namespace)] {
            if value.is_empty() {
                return Err(OptionsError {
                    field,
                    problem: "is empty; it is a part of the node id".to_owned(),
                });
            }
            if value.contains('~') {
                let problem = format!("{value:?} has a '~', which separates the parts of the node id");
                return Err(OptionsError { field, problem });
            }
        }
        let ephemeral = matches!(self.admin, Admin::Ephemeral { .. });
        if ephemeral && self.prometheus_listener {
            let problem = "needs an admin interface with a known address; give admin a port or a Unix socket";
            return Err(OptionsError { field: "prometheusListener", problem: problem.to_owned() });
        }
        if ephemeral && self.status_listener == Some(StatusBackend::Envoy) {
            let problem = "needs an admin interface with a known address; give admin a port or a Unix socket";
            return Err(OptionsError { field: "statusListener", problem: problem.to_owned() });
        }
        Ok(())
    }
}

/// An option that cannot work.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct OptionsError {
    /// The field, as written in JSON.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

/// The proxy and its workload. Everything but the first four may stay at its default.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// Sidecar or gateway.
    pub kind: NodeKind,
    /// The pod's first address, the second part of the node id.
    pub ip: IpAddr,
    /// The pod's name.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// DNS suffix; default `<namespace>.svc.cluster.local`.
    #[serde(default)]
    pub dns_domain: Option<String>,
    /// `node.cluster`; default `<app label>.<namespace>`, else `<workload>.<namespace>`, else
    /// `istio-proxy.<namespace>`.
    #[serde(default)]
    pub service_cluster: Option<String>,
    /// Region, zone and subzone.
    #[serde(default)]
    pub locality: Option<Locality>,
    /// Labels of the pod.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pod.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The pod's service account; the control plane holds the proxy's certificate against it.
    #[serde(default)]
    pub service_account: Option<String>,
    /// The Kubernetes cluster that the pod is in (`CLUSTER_ID`).
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// The network that the pod is in.
    #[serde(default)]
    pub network: Option<String>,
    /// The mesh's name.
    #[serde(default)]
    pub mesh_id: Option<String>,
    /// The Deployment or other owner's name.
    #[serde(default)]
    pub workload_name: Option<String>,
    /// The owner as `kubernetes://apis/<group>/<version>/namespaces/<ns>/<plural>/<name>`.
    #[serde(default)]
    pub owner: Option<String>,
    /// All addresses of the pod; default only `ip`.
    #[serde(default)]
    pub instance_ips: Vec<IpAddr>,
    /// The containers' ports as in the pod: a list of `{name, containerPort, protocol}`.
    #[serde(default)]
    pub pod_ports: Option<Vec<Value>>,
    /// Names of the application's containers.
    #[serde(default)]
    pub app_containers: Vec<String>,
    /// How traffic reaches the proxy.
    #[serde(default)]
    pub interception_mode: Option<InterceptionMode>,
    /// The Kubernetes node.
    #[serde(default)]
    pub node_name: Option<String>,
    /// The version that the control plane shall take the proxy for; absent is the newest.
    #[serde(default)]
    pub istio_version: Option<String>,
    /// The effective ProxyConfig, as JSON; it replaces the mesh's `defaultConfig` for this proxy.
    #[serde(default)]
    pub proxy_config: Option<Value>,
    /// More metadata (`ISTIO_META_*`); it wins over what is computed from the other fields.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

impl Node {
    /// A node with every default.
    #[must_use]
    pub fn new(kind: NodeKind, ip: IpAddr, pod: &str, namespace: &str) -> Self {
        Self {
            kind,
            ip,
            pod: pod.to_owned(),
            namespace: namespace.to_owned(),
            dns_domain: None,
            service_cluster: None,
            locality: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            service_account: None,
            cluster_id: None,
            network: None,
            mesh_id: None,
            workload_name: None,
            owner: None,
            instance_ips: Vec::new(),
            pod_ports: None,
            app_containers: Vec::new(),
            interception_mode: None,
            node_name: None,
            istio_version: None,
            proxy_config: None,
            metadata: Map::new(),
        }
    }

    /// All addresses: `instance_ips`, or `ip` alone.
    pub(crate) fn ips(&self) -> &[IpAddr] {
        if self.instance_ips.is_empty() { std::slice::from_ref(&self.ip) } else { &self.instance_ips }
    }
}

/// The first part of a node id.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Router,
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Router => "router",
        })
    }
}

/// Where the proxy runs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Locality {
    /// Region, empty if unknown.
    #[serde(default)]
    pub region: String,
    /// Zone, empty if unknown.
    #[serde(default)]
    pub zone: String,
    /// Subzone, empty if unknown.
    #[serde(default)]
    pub sub_zone: String,
}

/// How the pod's traffic is brought to the proxy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub enum InterceptionMode {
    /// iptables REDIRECT.
    Redirect,
    /// iptables TPROXY for inbound traffic.
    Tproxy,
    /// Not at all: the proxy binds real ports.
    None,
}

impl fmt::Display for InterceptionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirect => "REDIRECT",
            Self::Tproxy => "TPROXY",
            Self::None => "NONE",
        })
    }
}

/// The ADS server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlane {
    /// Its address: port 15010 without TLS, 15012 with.
    pub address: Address,
    /// Which of the two ADS protocols.
    #[serde(default)]
    pub protocol: Protocol,
    /// Absent: plaintext.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// Mutual TLS to the control plane with the workload's own certificate, both ends from `sds-grpc`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// DNS name in the control plane's certificate; also sent as SNI.
    pub server_name: String,
}

/// The two variants of the ADS protocol.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Incremental, the default.
    #[default]
    Delta,
    /// State of the world.
    Sotw,
}

/// An address to connect to, written `10.0.0.1:15010`, `[::1]:15010`, `host.name:15010` or `unix:/path`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum Address {
    /// An IP address and a port.
    Ip(IpAddr, u16),
    /// A name to resolve and a port.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::str::FromStr for Address {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let wrong = |problem: &str| OptionsError {
            field: "address",
            problem: format!("{text:?} {problem}; write host:port, [v6]:port or unix:/path"),
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong("has no path")) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
        let port = port.parse().ok().filter(|&p| p != 0).ok_or_else(|| wrong("has a bad port"))?;
        if let Some(v6) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            return v6.parse().map(|ip| Self::Ip(ip, port)).map_err(|_| wrong("is no IPv6 address"));
        }
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into(), port));
        }
        if host.is_empty() || host.contains(':') {
            return Err(wrong("has no usable host"));
        }
        Ok(Self::Name(host.to_owned(), port))
    }
}

impl TryFrom<String> for Address {
    type Error = OptionsError;

    fn try_from(text: String) -> Result<Self, OptionsError> {
        text.parse()
    }
}

/// Where Envoy's admin interface listens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Admin {
    /// A fixed port.
    Tcp {
        /// Local address, 127.0.0.1 as a rule: the interface can stop Envoy.
        address: IpAddr,
        /// TCP port.
        port: u16,
    },
    /// A free port that Envoy chooses (it writes it to the file of `--admin-address-path`). Cluster
    /// `prometheus_stats` is left out then: its port is not known.
    Ephemeral {
        /// Local address.
        address: IpAddr,
    },
    /// A Unix socket.
    Unix {
        /// Path of the socket.
        path: PathBuf,
    },
}

impl Default for Admin {
    fn default() -> Self {
        Self::Tcp { address: Ipv4Addr::LOCALHOST.into(), port: 15000 }
    }
}

/// Who answers `/healthz/ready` behind listener 15021.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum StatusBackend {
    /// A node agent on this local port, 15020 as a rule (cluster `agent`).
    Agent(u16),
    /// Envoy's own `/ready` on the admin interface: a pod without a node agent.
    Envoy,
}
