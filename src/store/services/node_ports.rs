//! Services that are reached from outside at the ports of nodes: gateways of networks without a load balancer.
//!
//! Source: Istio `pilot/pkg/serviceregistry/kube/controller/network.go` (`updateServiceNodePortAddresses`); annotation
//! `traffic.istio.io/nodeSelector`.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Object;
use api::kubernetes::{Node, Service, ServiceType};
use model::Labels;
use model::config::selects;

/// Annotation that says at which nodes, by their labels in JSON.
const NODE_SELECTOR: &str = "traffic.istio.io/nodeSelector";

/// Whether a Service is reached at nodes.
pub(super) fn applies(object: &Object<Service>) -> bool {
    object.spec.r#type == ServiceType::NodePort && object.meta.annotations.contains_key(NODE_SELECTOR)
}

/// The first external address of each node that the Service selects, sorted. Labels that cannot be read select all
/// nodes, as in the reference.
pub(super) fn addresses<'a>(
    object: &Object<Service>,
    nodes: impl Iterator<Item = &'a Object<Node>>,
) -> Vec<Arc<str>> {
    let wanted = object.meta.annotations.get(NODE_SELECTOR);
    let wanted: Labels = wanted.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let selected = nodes.filter(|node| selects(&wanted, &node.meta.labels));
    let external = selected.filter_map(|node| {
        let mut all = node.spec.status.addresses.iter();
        all.find(|a| a.r#type == "ExternalIP" && !a.address.is_empty())
    });
    let mut found: Vec<Arc<str>> = external.map(|a| Arc::from(a.address.as_str())).collect();
    found.sort();
    found.dedup();
    found
}

/// The ports of nodes, by the Service's.
pub(super) fn ports(service: &Service) -> BTreeMap<u16, u16> {
    let number = |number: u32| u16::try_from(number).ok().filter(|n| *n != 0);
    let pair = |port: u32, node_port: u32| Some((number(port)?, number(node_port)?));
    service.ports.iter().filter_map(|p| pair(p.port, p.node_port)).collect()
}
