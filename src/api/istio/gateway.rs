//! Gateway (`networking.istio.io`): ports that gateway workloads open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Port, ServerTlsSettings};

/// Ports that some gateway workloads open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The ports.
    pub servers: Vec<Server>,
    /// Labels of the gateway workloads.
    pub selector: BTreeMap<String, String>,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// The port and its protocol.
    pub port: Option<Port>,
    /// Address or unix socket to bind to; empty means all addresses.
    pub bind: String,
    /// Hosts served, as `host` or `namespace/host`; `*` and `.` are namespaces too.
    pub hosts: Vec<String>,
    /// TLS of the port.
    pub tls: Option<ServerTlsSettings>,
    /// Not acted on by the reference.
    pub default_endpoint: String,
    /// Name, unique within the Gateway.
    pub name: String,
}
