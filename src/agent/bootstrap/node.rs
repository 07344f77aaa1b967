//! `node`: id, cluster, locality and the metadata that a control plane reads (spec xds.md 1.1, 1.2).

use serde_json::{Map, Value, json};

use super::options::{Node, Options};
use super::{PROMETHEUS_PORT, STATUS_PORT};

pub(super) fn render(options: &Options) -> Value {
    let node = &options.node;
    let mut out = json!({
        "id": format!("{}~{}~{}.{}~{}", node.kind, node.ip, node.pod, node.namespace, dns_domain(node)),
        "cluster": cluster(node),
        "metadata": metadata(options),
    });
    let locality = node.locality.as_ref().map(|l| {
        [("region", &l.region), ("zone", &l.zone), ("sub_zone", &l.sub_zone)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect::<Map<_, _>>()
    });
    if let (Some(locality), Some(out)) = (locality, out.as_object_mut()) {
        out.insert("locality".to_owned(), Value::Object(locality));
    }
    out
}

fn dns_domain(node: &Node) -> String {
    node.dns_domain.clone().unwrap_or_else(|| format!("{}.svc.cluster.local", node.namespace))
}

fn cluster(node: &Node) -> String {
    if let Some(cluster) = &node.service_cluster {
        return cluster.clone();
    }
    let name = node.labels.get("app").or(node.workload_name.as_ref()).filter(|name| !name.is_empty());
    format!("{}.{}", name.map_or("istio-proxy", String::as_str), node.namespace)
}

fn metadata(options: &Options) -> Map<String, Value> {
    let node = &options.node;
    let mut out = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    let ips: Vec<String> = node.ips().iter().map(ToString::to_string).collect();
    set("NAME", Some(json!(node.pod)));
    set("NAMESPACE", Some(json!(node.namespace)));
    set("INSTANCE_IPS", Some(json!(ips.join(","))));
    set("LABELS", (!node.labels.is_empty()).then(|| json!(node.labels)));
    set("ANNOTATIONS", (!node.annotations.is_empty()).then(|| json!(node.annotations)));
    set("SERVICE_ACCOUNT", node.service_account.as_ref().map(|v| json!(v)));
    set("CLUSTER_ID", node.cluster_id.as_ref().map(|v| json!(v)));
    set("NETWORK", node.network.as_ref().map(|v| json!(v)));
    set("MESH_ID", node.mesh_id.as_ref().map(|v| json!(v)));
    set("WORKLOAD_NAME", node.workload_name.as_ref().map(|v| json!(v)));
    set("OWNER", node.owner.as_ref().map(|v| json!(v)));
    // A list written as a string: the control plane parses it again.
    set("POD_PORTS", node.pod_ports.as_ref().map(|v| json!(json!(v).to_string())));
    set("APP_CONTAINERS", (!node.app_containers.is_empty()).then(|| json!(node.app_containers.join(","))));
    set("INTERCEPTION_MODE", node.interception_mode.map(|v| json!(v.to_string())));
    set("NODE_NAME", node.node_name.as_ref().map(|v| json!(v)));
    set("ISTIO_VERSION", node.istio_version.as_ref().map(|v| json!(v)));
    set("PROXY_CONFIG", node.proxy_config.clone());
    // The control plane keeps generated listeners off these ports.
    set("ENVOY_PROMETHEUS_PORT", options.prometheus_listener.then(|| json!(PROMETHEUS_PORT)));
    set("ENVOY_STATUS_PORT", options.status_listener.map(|_| json!(STATUS_PORT)));
    out.extend(node.metadata.clone());
    out
}
