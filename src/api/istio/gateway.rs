//! Gateway (`networking.istio.io`): ports that gateway workloads open.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{Port, ServerTlsSettings};
use crate::schema::{property, required};

/// Ports that some gateway workloads open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The ports.
    pub servers: Vec<Server>,
    /// Labels of the gateway workloads.
    pub selector: BTreeMap<String, String>,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// The port and its protocol.
    #[schemars(transform = required, transform = whole_port)]
    pub port: Option<Port>,
    /// Address or unix socket to bind to; empty means all addresses.
    pub bind: String,
    /// Hosts served, as `host` or `namespace/host`; `*` and `.` are namespaces too.
    #[schemars(transform = required)]
    pub hosts: Vec<String>,
    /// TLS of the port.
    pub tls: Option<ServerTlsSettings>,
    /// Not acted on by the reference.
    pub default_endpoint: String,
    /// Name, unique within the Gateway.
    pub name: String,
}

/// A Gateway's port has all three; elsewhere less is enough.
fn whole_port(schema: &mut Schema) {
    for field in ["number", "protocol", "name"] {
        property(field, required)(schema);
    }
}
