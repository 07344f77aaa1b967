//! ServiceEntry (`networking.istio.io`): services that the platform's registry does not know.

use serde::{Deserialize, Serialize};

use super::{Port, WorkloadEntry, WorkloadSelector};

/// Services that the platform's registry does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// Their host names; may be `*.` wildcards.
    pub hosts: Vec<String>,
    /// Virtual addresses, with an optional prefix length.
    pub addresses: Vec<String>,
    /// Their ports.
    pub ports: Vec<Port>,
    /// Whether they are part of the mesh.
    pub location: Location,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// The endpoints; excludes `workload_selector`.
    pub endpoints: Vec<WorkloadEntry>,
    /// Pods and WorkloadEntries of the namespace that are the endpoints.
    pub workload_selector: Option<WorkloadSelector>,
    /// Namespaces that see the object: names, `.` (own), `*` (all), `~` (none). Empty means the mesh's default.
    pub export_to: Vec<String>,
    /// Names of which a server's certificate must have one.
    pub subject_alt_names: Vec<String>,
    /// The document's `status`, not part of its `spec`.
    pub status: ServiceEntryStatus,
}

/// Whether a service is part of the mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// Outside.
    #[default]
    MeshExternal,
    /// Part of it.
    MeshInternal,
}

/// How a service's endpoints are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryStatus {
    /// Addresses allotted to hosts without one.
    pub addresses: Vec<ServiceEntryAddress>,
}

/// An address allotted to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryAddress {
    /// The address.
    pub value: String,
    /// The host.
    pub host: String,
}
