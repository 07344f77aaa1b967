//! The Kubernetes objects around a test pod, as `kubectl get -o yaml` would show them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::netns::BRIDGE_ADDRESS;

/// What the objects say of one pod.
#[derive(Clone, Debug)]
pub(crate) struct PodFacts {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) node: String,
    pub(crate) service_account: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) ports: Vec<u16>,
    /// It has a proxy with a workload certificate.
    pub(crate) in_mesh: bool,
}

/// When everything of a test's cluster was created; a constant, so that equal tests write equal files.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// The label by which the injector tells that a pod takes mutual TLS.
const TLS_MODE: &str = "security.istio.io/tlsMode";

impl PodFacts {
    /// All labels: the test's own and the injector's.
    pub(crate) fn all_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        if self.in_mesh {
            labels.entry(TLS_MODE.to_owned()).or_insert_with(|| "istio".to_owned());
            let canonical = labels.get("app").unwrap_or(&self.name).clone();
            labels.entry("service.istio.io/canonical-name".to_owned()).or_insert(canonical);
            let revision = labels.get("version").map_or("latest", String::as_str).to_owned();
            labels.entry("service.istio.io/canonical-revision".to_owned()).or_insert(revision);
        }
        labels
    }

    /// The Pod, with the status that kubelet would have written.
    pub(crate) fn pod(&self, ready: bool) -> Value {
        let ports: Vec<Value> =
            self.ports.iter().map(|port| json!({"containerPort": port, "protocol": "TCP"})).collect();
        let mut containers = vec![json!({"name": "app", "image": "localhost/echo", "ports": ports})];
        let mut annotations = self.annotations.clone();
        if self.in_mesh {
            containers.push(json!({"name": "istio-proxy", "image": "localhost/envoy"}));
            annotations
                .entry("sidecar.istio.io/status".to_owned())
                .or_insert_with(|| json!({"containers": ["istio-proxy"]}).to_string());
        }
        let status = if ready { "True" } else { "False" };
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": self.all_labels(),
                "annotations": annotations,
                "creationTimestamp": CREATED,
                "uid": format!("{}.{}", self.namespace, self.name),
            },
            "spec": {
                "serviceAccountName": self.service_account,
                "nodeName": self.node,
                "containers": containers,
            },
            "status": {
                "phase": "Running",
                "hostIP": BRIDGE_ADDRESS.to_string(),
                "podIP": self.ip.to_string(),
                "podIPs": [{"ip": self.ip.to_string()}],
                "conditions": [
                    {"type": "Ready", "status": status, "lastTransitionTime": CREATED},
                    {"type": "ContainersReady", "status": status, "lastTransitionTime": CREATED},
                ],
            },
        })
    }
}

/// A Namespace.
pub(crate) fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/metadata.name": name},
            "creationTimestamp": CREATED,
        },
    })
}

/// A ServiceAccount.
pub(crate) fn service_account(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    })
}

/// The ConfigMap that holds MeshConfig, given as YAML.
pub(crate) fn mesh_config(yaml: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system", "creationTimestamp": CREATED},
        "data": {"mesh": yaml},
    })
}

/// A Node in a locality written `region/zone/subzone`; absent parts get no label.
pub(crate) fn node(name: &str, locality: &str) -> Value {
    let keys = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];
    let labels: BTreeMap<&str, &str> =
        keys.into_iter().zip(locality.split('/')).filter(|(_, part)| !part.is_empty()).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "creationTimestamp": CREATED},
        "status": {"addresses": [{"type": "InternalIP", "address": BRIDGE_ADDRESS.to_string()}]},
    })
}

/// A Service whose ports are (name, port, target port).
pub(crate) fn service(
    namespace: &str,
    name: &str,
    selector: &BTreeMap<String, String>,
    ports: &[(String, u16, u16)],
    headless: bool,
) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, target)| {
            json!({"name": name, "port": port, "targetPort": target, "protocol": "TCP"})
        })
        .collect();
    let mut spec = json!({"type": "ClusterIP", "selector": selector, "ports": ports});
    if headless && let Some(fields) = spec.as_object_mut() {
        fields.insert("clusterIP".to_owned(), json!("None"));
        fields.insert("clusterIPs".to_owned(), json!(["None"]));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": CREATED},
        "spec": spec,
    })
}
