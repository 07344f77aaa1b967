//! `MeshNetworks`: which endpoints are in which network, and how one network reaches another.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The networks by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshNetworks {
    /// The networks.
    pub networks: BTreeMap<String, Network>,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// Which endpoints are in it.
    pub endpoints: Vec<NetworkEndpoints>,
    /// Through what others reach it.
    pub gateways: Vec<NetworkGateway>,
}

/// Some endpoints; exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkEndpoints {
    /// Those with an address in this range.
    pub from_cidr: Option<String>,
    /// Those of this cluster.
    pub from_registry: Option<String>,
}

/// A gateway of a network; exactly one of `registry_service_name` and `address` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkGateway {
    /// Host name of a Service.
    pub registry_service_name: Option<String>,
    /// IP address or host name.
    pub address: Option<String>,
    /// Its port.
    pub port: u32,
    /// Its locality, `region/zone/subzone`.
    pub locality: String,
}
