//! Pod (core/v1).

use serde::{Deserialize, Serialize};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Whether it uses its node's network.
    pub host_network: bool,
    /// Its node; empty before it is scheduled.
    pub node_name: String,
    /// Its service account.
    pub service_account_name: String,
    /// Its host name; empty means its own name.
    pub hostname: String,
    /// Its domain within the namespace's.
    pub subdomain: String,
    /// Containers.
    pub containers: Vec<Container>,
    /// Containers that start first; with `restartPolicy: Always` they stay (native sidecars).
    pub init_containers: Vec<Container>,
    /// The document's `status`.
    pub status: PodStatus,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its ports.
    pub ports: Vec<ContainerPort>,
    /// `Always` makes an init container a native sidecar; otherwise empty.
    pub restart_policy: String,
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its name; may be empty.
    pub name: String,
    /// Its number.
    pub container_port: u32,
    /// `TCP` (the default when empty), `UDP` or `SCTP`.
    pub protocol: String,
}

/// What became of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Its first address; empty before it has one.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// All addresses, of each family one.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
    /// Its node's address.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    /// Conditions, such as `Ready`.
    pub conditions: Vec<PodCondition>,
}

/// An address of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Its type.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

impl Pod {
    /// All addresses: `podIPs`, or `podIP` alone from sources that give no list.
    pub fn ips(&self) -> impl Iterator<Item = &str> {
        let listed = self.status.pod_ips.iter().map(|entry| entry.ip.as_str());
        let single = self.status.pod_ips.is_empty().then_some(self.status.pod_ip.as_str());
        listed.chain(single).filter(|ip| !ip.is_empty())
    }

    /// Whether the condition `Ready` is true.
    pub fn ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|condition| condition.r#type == "Ready" && condition.status == "True")
    }
}
