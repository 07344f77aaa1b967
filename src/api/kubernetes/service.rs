//! Service (core/v1).

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// How it is exposed.
    pub r#type: ServiceType,
    /// The first virtual address; `None` for headless ones, empty when not allotted.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// All virtual addresses, of each family one.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    /// Address families, in order of preference: `IPv4`, `IPv6`.
    pub ip_families: Vec<String>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Labels of the pods; empty when endpoints are made by hand.
    pub selector: BTreeMap<String, String>,
    /// The name that an ExternalName Service stands for.
    pub external_name: String,
    /// Further addresses that lead to the Service.
    #[serde(rename = "externalIPs")]
    pub external_ips: Vec<String>,
    /// Whether endpoints count before they are ready.
    pub publish_not_ready_addresses: bool,
    /// `Cluster` (the default when empty) or `Local`: which endpoints traffic from inside may reach.
    pub internal_traffic_policy: String,
    /// `Cluster` (the default when empty) or `Local`: which endpoints traffic from outside may reach.
    pub external_traffic_policy: String,
    /// Preference by locality, such as `PreferClose`; empty means none.
    pub traffic_distribution: String,
    /// The document's `status`.
    pub status: ServiceStatus,
}

/// How a Service is exposed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ServiceType {
    /// By virtual addresses inside the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// By a port of every node too.
    NodePort,
    /// By a load balancer too.
    LoadBalancer,
    /// It stands for a name elsewhere.
    ExternalName,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Its name; empty only when it is the only one.
    pub name: String,
    /// Its number.
    pub port: u32,
    /// The port at the pods; absent means `port`.
    pub target_port: Option<IntOrString>,
    /// `TCP` (the default when empty), `UDP` or `SCTP`.
    pub protocol: String,
    /// The application's protocol; empty means by the name.
    pub app_protocol: String,
    /// The port of every node; 0 when not allotted.
    pub node_port: u32,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum IntOrString {
    /// By number.
    Int(u32),
    /// By name.
    String(String),
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = IntOrString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port's number or name")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<IntOrString, E> {
                u32::try_from(number)
                    .map(IntOrString::Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<IntOrString, E> {
                Ok(IntOrString::String(name.to_owned()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// What is known of a Service from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Its load balancer.
    pub load_balancer: LoadBalancerStatus,
}

/// A load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerStatus {
    /// Its addresses.
    pub ingress: Vec<LoadBalancerIngress>,
}

/// An address of a load balancer: one or both members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    /// The IP address.
    pub ip: String,
    /// The host name.
    pub hostname: String,
}
