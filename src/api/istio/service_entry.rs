//! ServiceEntry (`networking.istio.io`): services that the platform's registry does not know.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{Port, WorkloadEntry, WorkloadSelector};
use crate::schema::{at_most_one, cel, items, list_map, max_length, port, property, required};

/// Services that the platform's registry does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("workloadSelector, endpoints"))]
#[schemars(transform = cel(
    "addresses with a prefix length go with the resolutions NONE and STATIC only",
    r#"!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))"#,
))]
#[schemars(transform = cel(
    "the resolution NONE has no endpoints",
    r#"((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true"#,
))]
#[schemars(transform = cel(
    "the resolution DNS_ROUND_ROBIN has at most one endpoint",
    r#"((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true"#,
))]
pub struct ServiceEntry {
    /// Their host names; may be `*.` wildcards.
    #[schemars(transform = required, length(min = 1, max = 256))]
    #[schemars(transform = items(cel("`*` alone is no host", r#"self != "*""#)))]
    pub hosts: Vec<String>,
    /// Virtual addresses, with an optional prefix length.
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub addresses: Vec<String>,
    /// Their ports.
    #[schemars(length(max = 256), transform = list_map("name"), transform = items(service_port))]
    #[schemars(transform = cel("port numbers are unique", "self.all(l1, self.exists_one(l2, l1.number == l2.number))"))]
    pub ports: Vec<Port>,
    /// Whether they are part of the mesh.
    pub location: Location,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// The endpoints; excludes `workloadSelector`.
    #[schemars(length(max = 4096))]
    pub endpoints: Vec<WorkloadEntry>,
    /// Pods and WorkloadEntries of the namespace that are the endpoints.
    pub workload_selector: Option<WorkloadSelector>,
    /// Namespaces that see the object: names, `.` (own), `*` (all), `~` (none). Empty means the mesh's default.
    pub export_to: Vec<String>,
    /// Names of which a server's certificate must have one.
    pub subject_alt_names: Vec<String>,
    /// The document's `status`, not part of its `spec`.
    #[schemars(skip)]
    pub status: ServiceEntryStatus,
}

/// Whether a service is part of the mesh.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// Outside.
    #[default]
    MeshExternal,
    /// Part of it.
    MeshInternal,
}

/// How a service's endpoints are found.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// Not at all: to the address that the client asked for.
    #[default]
    None,
    /// They are listed or selected.
    Static,
    /// By DNS, all addresses of all names.
    Dns,
    /// By DNS, one address of one name.
    DnsRoundRobin,
    /// By DNS, of the name in the request.
    DynamicDns,
}

/// What the control plane wrote about a ServiceEntry, as far as it reads it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryStatus {
    /// Addresses allotted to hosts without one.
    pub addresses: Vec<ServiceEntryAddress>,
}

/// An address allotted to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryAddress {
    /// The address.
    pub value: String,
    /// The host.
    pub host: String,
}

/// The ports of a ServiceEntry are held to more than those of Gateways and Sidecars.
fn service_port(schema: &mut Schema) {
    for field in ["number", "name"] {
        property(field, required)(schema);
    }
    for field in ["number", "targetPort"] {
        property(field, port)(schema);
    }
    for field in ["name", "protocol"] {
        property(field, max_length(256))(schema);
    }
}
