//! Labels of a proxy, and where it is: what policies that ask for either see of it.
//!
//! Source: Istio `pilot/pkg/xds/ads.go`, `pilot/pkg/serviceregistry/util/label/label.go`; `shared/spec/xds.md` 1.3.

use model::endpoint::Locality;
use model::{Labels, Mesh, Proxy};

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";
const LOCALITY: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];
const NETWORK: &str = "topology.istio.io/network";
const CLUSTER: &str = "topology.istio.io/cluster";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// The labels of a proxy with those that tell its locality, cluster, node and network, and its locality.
pub(crate) fn of(mesh: &Mesh, proxy: &Proxy) -> (Labels, Locality) {
    let mut labels = own_labels(mesh, proxy);
    let locality = locality_of(&labels).unwrap_or_else(|| proxy.locality.clone());
    let metadata = &proxy.metadata;
    // What is known of the pod's network goes before what the proxy says.
    let network = if labels.contains_key(NETWORK) { "" } else { &*metadata.network };
    let facts = [
        (REGION, locality.region.as_str()),
        (ZONE, &locality.zone),
        (SUBZONE, &locality.subzone),
        (CLUSTER, &metadata.cluster_id),
        (HOSTNAME, &metadata.node_name),
        (NETWORK, network),
    ];
    let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
    labels.extend(known.map(|(key, value)| (key.to_owned(), value.to_owned())));
    (labels, locality)
}

/// The labels of the proxy: those of its pod over its static ones if the pod is known, else its metadata's.
pub(crate) fn own_labels(mesh: &Mesh, proxy: &Proxy) -> Labels {
    let Some(pod) = mesh.pod(&proxy.metadata.cluster_id, &proxy.namespace, &proxy.pod) else {
        return proxy.metadata.labels.clone();
    };
    let mut labels = proxy.metadata.static_labels.clone();
    labels.extend(pod.workload.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
    labels
}

/// The locality that labels tell: part by part, which a pod has from its node, or in one.
fn locality_of(labels: &Labels) -> Option<Locality> {
    let part = |key: &str| labels.get(key).cloned();
    let parts = [part(REGION), part(ZONE), part(SUBZONE)];
    if parts.iter().any(Option::is_some) {
        let [region, zone, subzone] = parts.map(Option::unwrap_or_default);
        return Some(Locality { region, zone, subzone });
    }
    let text = LOCALITY.iter().find_map(|key| labels.get(*key).filter(|text| !text.is_empty()))?;
    Some(Locality::parse(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(metadata: &serde_json::Value, locality: &str) -> (Labels, Locality) {
        let id = "sidecar~10.0.0.1~web.shop~shop.svc.cluster.local";
        let proxy = Proxy::parse(id, metadata, Locality::of_path(locality)).unwrap();
        of(&Mesh::default(), &proxy)
    }

    #[test]
    fn a_proxy_has_labels_of_all_that_is_known_of_its_place() {
        let metadata =
            json!({"LABELS": {"app": "web"}, "CLUSTER_ID": "c1", "NODE_NAME": "n1", "NETWORK": "net"});
        let (labels, locality) = at(&metadata, "r1/z1");
        let want = [
            ("app", "web"),
            ("kubernetes.io/hostname", "n1"),
            ("topology.istio.io/cluster", "c1"),
            ("topology.istio.io/network", "net"),
            ("topology.kubernetes.io/region", "r1"),
            ("topology.kubernetes.io/zone", "z1"),
        ];
        assert!(labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(want), "{labels:?}");
        assert_eq!(locality, Locality::of_path("r1/z1"));
    }

    #[test]
    fn labels_go_before_what_the_proxy_says() {
        let of_labels =
            |labels: serde_json::Value| at(&json!({"LABELS": labels, "NETWORK": "said"}), "r1/z1/s1");
        let (labels, locality) = of_labels(json!({"topology.kubernetes.io/zone": "z2", NETWORK: "label"}));
        assert_eq!(locality, Locality::of_path("/z2"));
        assert_eq!(labels.get(NETWORK).map(String::as_str), Some("label"));
        assert_eq!(labels.get(REGION), None);
        let (labels, locality) = of_labels(json!({"istio-locality": "r3.z3"}));
        assert_eq!(locality, Locality::of_path("r3/z3"));
        assert_eq!(labels.get(ZONE).map(String::as_str), Some("z3"));
        assert_eq!(of_labels(json!({"istio-locality": ""})).1, Locality::of_path("r1/z1/s1"));
    }
}
