//! A Kubernetes Service as the mesh sees it.
//!
//! Source: Istio `pilot/pkg/serviceregistry/kube/conversion.go`; `shared/spec/kubernetes.md` 2.1, 2.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::kubernetes::{IntOrString, Namespace, Node, Service, ServicePort, ServiceType};
use api::{Kind, Object, ObjectKey, ObjectRef, Problem, Severity};
use model::hostname;
use model::mesh::Settings;
use model::protocol::Protocol;
use model::service::{Registry, Resolution, Service as MeshService, ServicePort as MeshPort, TargetPort};
use model::visibility::ExportTo;

use super::{distribution, node_ports};

const EXPORT_TO: &str = "networking.istio.io/exportTo";
const CANONICAL_ACCOUNTS: &str = "alpha.istio.io/canonical-serviceaccounts";
const KUBERNETES_ACCOUNTS: &str = "alpha.istio.io/kubernetes-serviceaccounts";

/// Converts a Service; `namespace` is the Namespace object if it is known, `nodes` those of its cluster.
pub(super) fn convert<'a>(
    object: &Object<Service>,
    namespace: Option<&Object<Namespace>>,
    nodes: impl Iterator<Item = &'a Object<Node>>,
    settings: &Settings,
) -> MeshService {
    let (meta, spec) = (&object.meta, &object.spec);
    let external_name = spec.r#type == ServiceType::ExternalName;
    let at_nodes = node_ports::applies(object);
    let resolution = match (external_name, spec.cluster_ip.as_str()) {
        (true, _) => Resolution::Alias,
        (_, "None") => Resolution::Passthrough,
        _ => Resolution::ClientSide,
    };
    MeshService {
        host: Arc::from(hostname::of_service(&meta.name, &meta.namespace, &settings.domain)),
        name: Arc::clone(&meta.name),
        namespace: Arc::clone(&meta.namespace),
        registry: Registry::Kubernetes,
        source: ObjectRef { key: ObjectKey::of(Kind::Service, meta), generation: meta.generation },
        creation: meta.creation,
        resolution,
        ports: spec.ports.iter().filter_map(port).collect(),
        addresses: if external_name { Vec::new() } else { cluster_ips(spec) },
        auto_addresses: Vec::new(),
        external_addresses: if at_nodes {
            node_ports::addresses(object, nodes)
        } else {
            external_addresses(spec)
        },
        node_ports: if at_nodes { node_ports::ports(spec) } else { BTreeMap::new() },
        aliases: Vec::new(),
        alias_of: (external_name && !spec.external_name.is_empty())
            .then(|| Arc::from(spec.external_name.as_str())),
        mesh_external: external_name,
        export_to: export_to(object, settings),
        labels: meta.labels.clone(),
        annotations: kept_annotations(object),
        selector: (!spec.selector.is_empty()).then(|| spec.selector.clone()),
        node_local: spec.internal_traffic_policy == "Local",
        publish_not_ready: spec.publish_not_ready_addresses,
        traffic_distribution: distribution::of(
            Some(&object.spec.traffic_distribution),
            &object.meta.annotations,
            namespace,
        ),
        subject_alt_names: accounts(object, settings),
        remotes: Vec::new(),
        remote_only: false,
    }
}

/// What keeps a Service, or a port of it, from being served; the API server lets none of it pass, a folder does.
pub(super) fn problems(object: &Object<Service>) -> Vec<Problem> {
    let spec = &object.spec;
    let problem = |field: String, message: &str, hint: &str| Problem {
        severity: Severity::Error,
        object: ObjectKey::of(Kind::Service, &object.meta),
        field,
        message: message.to_owned(),
        hint: hint.to_owned(),
    };
    let needs_ports = spec.r#type != ServiceType::ExternalName && spec.cluster_ip != "None";
    if spec.ports.is_empty() && needs_ports {
        let message = "there are no ports, so nothing can be sent to this service";
        return vec![problem("spec.ports".to_owned(), message, "list its ports, or set clusterIP to None")];
    }
    let unusable = spec.ports.iter().enumerate().filter(|(_, p)| port(p).is_none());
    let told = unusable.map(|(at, _)| {
        let message = "the port is left out: its number or its target's is none";
        problem(format!("spec.ports[{at}]"), message, "use numbers from 1 to 65535")
    });
    told.collect()
}

/// A port; none if its number is none, which [`problems`] tells.
fn port(port: &ServicePort) -> Option<MeshPort> {
    let number = u16::try_from(port.port).ok().filter(|n| *n != 0)?;
    let target = match &port.target_port {
        Some(IntOrString::Int(0)) | None => TargetPort::Number(number),
        Some(IntOrString::Int(target)) => TargetPort::Number(u16::try_from(*target).ok()?),
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(target) => TargetPort::Number(target),
            Err(_) => TargetPort::Name(Arc::from(name.as_str())),
        },
    };
    let app_protocol = Some(port.app_protocol.as_str()).filter(|p| !p.is_empty());
    let protocol = Protocol::of_kubernetes_port(number, &port.name, &port.protocol, app_protocol);
    Some(MeshPort { name: Arc::from(port.name.as_str()), number, protocol, target })
}

fn cluster_ips(spec: &Service) -> Vec<Arc<str>> {
    let mut ips: Vec<Arc<str>> = Vec::new();
    let listed = std::iter::once(&spec.cluster_ip).chain(&spec.cluster_ips);
    for ip in listed.filter(|ip| !ip.is_empty() && *ip != "None") {
        if !ips.iter().any(|known| **known == **ip) {
            ips.push(Arc::from(ip.as_str()));
        }
    }
    ips
}

/// Load balancer addresses, then external IPs.
fn external_addresses(spec: &Service) -> Vec<Arc<str>> {
    let balancers =
        spec.status.load_balancer.ingress.iter().map(|i| if i.ip.is_empty() { &i.hostname } else { &i.ip });
    let all = balancers.chain(&spec.external_ips).filter(|a| !a.is_empty());
    all.map(|a| Arc::from(a.as_str())).collect()
}

fn export_to(object: &Object<Service>, settings: &Settings) -> ExportTo {
    let listed = object.meta.annotations.get(EXPORT_TO);
    let words: Vec<&str> =
        listed.map(|l| l.split(',').map(str::trim).filter(|w| !w.is_empty()).collect()).unwrap_or_default();
    ExportTo::parse(&words, &object.meta.namespace, &settings.mesh.default_service_export_to)
}

/// Identities that annotations name: SPIFFE ids as they stand, service accounts expanded.
fn accounts(object: &Object<Service>, settings: &Settings) -> Vec<Arc<str>> {
    let list = |key: &str| -> Vec<String> {
        let text = object.meta.annotations.get(key).map_or("", String::as_str);
        text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    };
    // These are whole identities, of any form.
    let canonical = list(CANONICAL_ACCOUNTS);
    let own = list(KUBERNETES_ACCOUNTS)
        .into_iter()
        .map(|a| format!("spiffe://{}/ns/{}/sa/{a}", settings.mesh.trust_domain, object.meta.namespace));
    canonical.into_iter().chain(own).map(Arc::from).collect()
}

/// Annotations that are read later on.
fn kept_annotations(object: &Object<Service>) -> model::Labels {
    object
        .meta
        .annotations
        .iter()
        .filter(|(key, _)| key.starts_with("traffic.istio.io/") || key.starts_with("networking.istio.io/"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}
