//! A ServiceEntry as services of the mesh, one for each of its hosts.
//!
//! Source: Istio `pilot/pkg/serviceregistry/serviceentry/conversion.go`; `shared/spec/kubernetes.md` 2.8.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::istio::{Location, Port, Resolution as EntryResolution, ServiceEntry};
use api::kubernetes::Namespace;
use api::{Object, Problem, Severity};
use ipnet::IpNet;
use model::Config;
use model::mesh::Settings;
use model::protocol::Protocol;
use model::service::{Registry, Resolution, Service, ServicePort, TargetPort};
use model::visibility::ExportTo;

use super::distribution;

/// A label by which an entry refuses addresses.
const ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

/// Converts a ServiceEntry.
///
/// One whose addresses all are none is no service: it would take the connections of others. `namespace` is its own.
pub(super) fn convert(
    object: &Config<ServiceEntry>,
    settings: &Settings,
    namespace: Option<&Object<Namespace>>,
) -> (Vec<Service>, Vec<Problem>) {
    let mut problems = Vec::new();
    let ports = ports(object, &mut problems);
    let addresses = addresses(object, &mut problems);
    let spec = &object.spec;
    if addresses.is_empty() && !spec.addresses.is_empty() {
        return (Vec::new(), problems);
    }
    let export_to =
        ExportTo::parse(&spec.export_to, object.namespace(), &settings.mesh.default_service_export_to);
    let selector = spec.workload_selector.as_ref().map(|s| s.labels.clone());
    let services = spec
        .hosts
        .iter()
        .map(|host| Service {
            host: Arc::from(host.as_str()),
            name: Arc::from(host.as_str()),
            namespace: Arc::clone(object.namespace()),
            registry: Registry::External,
            source: object.source.clone(),
            creation: object.creation,
            resolution: resolution(spec.resolution),
            ports: ports.clone(),
            addresses: addresses.clone(),
            auto_addresses: auto_addresses(object, host),
            external_addresses: Vec::new(),
            node_ports: BTreeMap::new(),
            aliases: Vec::new(),
            alias_of: None,
            mesh_external: spec.location == Location::MeshExternal,
            export_to: export_to.clone(),
            labels: object.labels.clone(),
            annotations: object.annotations.clone(),
            selector: selector.clone(),
            node_local: false,
            publish_not_ready: false,
            traffic_distribution: distribution::of(None, &object.annotations, namespace),
            subject_alt_names: spec.subject_alt_names.iter().map(|s| Arc::from(s.as_str())).collect(),
            remotes: Vec::new(),
            remote_only: false,
        })
        .collect();
    (services, problems)
}

fn resolution(resolution: EntryResolution) -> Resolution {
    match resolution {
        EntryResolution::None => Resolution::Passthrough,
        EntryResolution::Static => Resolution::ClientSide,
        EntryResolution::Dns => Resolution::Dns,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        EntryResolution::DynamicDns => Resolution::DynamicDns,
    }
}

fn ports(object: &Config<ServiceEntry>, problems: &mut Vec<Problem>) -> Vec<ServicePort> {
    let convert = |(i, port): (usize, &Port)| match u16::try_from(port.number) {
        Ok(number) if number != 0 => Ok(ServicePort {
            name: Arc::from(port.name.as_str()),
            number,
            protocol: Protocol::of_declared(&port.protocol),
            target: TargetPort::Number(
                u16::try_from(port.target_port).ok().filter(|p| *p != 0).unwrap_or(number),
            ),
        }),
        _ => Err(Problem {
            severity: Severity::Error,
            object: object.source.key.clone(),
            field: format!("spec.ports[{i}].number"),
            message: format!("{} is not a port number, the port is left out", port.number),
            hint: "write a number from 1 to 65535".to_owned(),
        }),
    };
    let mut ports = Vec::new();
    for result in object.spec.ports.iter().enumerate().map(convert) {
        match result {
            Ok(port) => ports.push(port),
            Err(problem) => problems.push(problem),
        }
    }
    ports
}

/// Addresses in their shortest form: `/32` and `/128` are single addresses.
fn addresses(object: &Config<ServiceEntry>, problems: &mut Vec<Problem>) -> Vec<Arc<str>> {
    let mut out = Vec::new();
    for (i, text) in object.spec.addresses.iter().enumerate() {
        match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
            (Ok(_), _) => out.push(Arc::from(text.as_str())),
            (_, Ok(net)) if net.prefix_len() == net.max_prefix_len() => {
                out.push(Arc::from(net.addr().to_string()));
            }
            (_, Ok(_)) => out.push(Arc::from(text.as_str())),
            _ => problems.push(Problem {
                severity: Severity::Error,
                object: object.source.key.clone(),
                field: format!("spec.addresses[{i}]"),
                message: format!("{text:?} is neither an IP address nor a CIDR, it is left out"),
                hint: "write an address such as 10.0.0.1 or 10.0.0.0/24".to_owned(),
            }),
        }
    }
    out
}

/// The addresses that were allotted to a host, where the entry may have such.
fn auto_addresses(object: &Config<ServiceEntry>, host: &str) -> Vec<Arc<str>> {
    let spec = &object.spec;
    let refused = object.labels.get(ALLOCATE).is_some_and(|v| v.eq_ignore_ascii_case("false"));
    if !spec.addresses.is_empty() || spec.resolution == EntryResolution::None || refused {
        return Vec::new();
    }
    let allotted = spec.status.addresses.iter().filter(|a| a.host == host);
    allotted.filter(|a| a.value.parse::<IpAddr>().is_ok()).map(|a| Arc::from(a.value.as_str())).collect()
}
