//! Endpoints of ServiceEntries: listed ones, selected pods and workload entries, or the host itself.
//!
//! Source: Istio `pilot/pkg/serviceregistry/serviceentry/conversion.go`; `shared/spec/kubernetes.md` 2.8,
//! `observed.md` 31, 33, 76.

use std::net::IpAddr;
use std::sync::Arc;

use api::istio::{ServiceEntry, WorkloadEntry};
use model::config::selects;
use model::endpoint::{Address, Endpoint, Health, Locality, TlsMode, Workload};
use model::mesh::Settings;
use model::service::{Resolution, Service, ServicePort, TargetPort};
use model::{Config, Mesh, Ref};

use super::InCluster;
use crate::registry::Registry;
use crate::tables::Tables;
use crate::workloads::{Facts, augmented, identity};

const TLS_MODE: &str = "security.istio.io/tlsMode";
const HEALTH_CHECKED: &str = "proxy.istio.io/health-checks-enabled";
/// What Go's `strconv.ParseBool` takes for true.
const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];
/// The WorkloadGroup that an entry was made of: its workload is called after it.
const GROUP: &str = "istio.io/autoRegistrationGroup";
/// The name of the workload.
const WORKLOAD_NAME: &str = "service.istio.io/workload-name";
/// Labels that tell the locality where the entry does not.
const LOCALITY: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];

impl Tables {
    /// The endpoints of a service that a ServiceEntry defines.
    pub(super) fn endpoints_of_entry(&self, mesh: &Mesh, service: &Service) -> Vec<Endpoint> {
        let id = (Arc::clone(&service.namespace), Arc::clone(&service.source.key.name));
        let Some(entry) = self.service_entries.get(&id) else { return Vec::new() };
        let once = match &service.selector {
            Some(selector) => self.selected(mesh, service, selector),
            None => self.listed(service, entry),
        };
        // The reference keeps one service for each address, each with all endpoints.
        let times = service.addresses.len().max(1);
        let mut all = Vec::with_capacity(once.len().saturating_mul(times));
        for _ in 0..times {
            all.extend(once.iter().cloned());
        }
        all
    }

    fn listed(&self, service: &Service, entry: &Config<ServiceEntry>) -> Vec<Endpoint> {
        let dns = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        if entry.spec.endpoints.is_empty() && dns {
            return self.host_itself(service);
        }
        let mut out = Vec::new();
        // An endpoint without an object of its own is called after the entry and its place there.
        let named = |(at, endpoint): (usize, &WorkloadEntry)| {
            let name = format!("{}-{at}", service.source.key.name);
            self.workload_of(endpoint, &endpoint.labels, service, &name)
        };
        let workloads: Vec<_> = entry.spec.endpoints.iter().enumerate().map(named).collect();
        for port in &service.ports {
            for (endpoint, workload) in entry.spec.endpoints.iter().zip(&workloads) {
                let number = endpoint_port(endpoint, port);
                out.extend(endpoint_of(endpoint, number, port, workload, dns));
            }
        }
        out
    }

    fn host_itself(&self, service: &Service) -> Vec<Endpoint> {
        let name = &service.source.key.name;
        let workload = self.workload_of(&WorkloadEntry::default(), &model::Labels::new(), service, name);
        let endpoint = |port: &ServicePort| Endpoint {
            address: Address::Host(Arc::clone(&service.host)),
            additional: Vec::new(),
            port: target_number(port),
            port_name: Arc::clone(&port.name),
            weight: 1,
            health: Health::Unknown,
            workload: workload.clone(),
        };
        service.ports.iter().map(endpoint).collect()
    }

    fn selected(&self, mesh: &Mesh, service: &Service, selector: &model::Labels) -> Vec<Endpoint> {
        self.clusters(mesh).flat_map(|of| of.selected(service, selector)).collect()
    }

    fn workload_of(
        &self,
        entry: &WorkloadEntry,
        labels: &model::Labels,
        service: &Service,
        name: &str,
    ) -> Ref<Workload> {
        self.home.workload(&self.settings, entry, labels, (&service.namespace, name))
    }
}

impl InCluster<'_> {
    /// The pods and workload entries of the cluster that a ServiceEntry selects.
    fn selected(&self, service: &Service, selector: &model::Labels) -> Vec<Endpoint> {
        let mut out = Vec::new();
        let dns = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        let pods = self.workloads.and_then(|w| w.pods.get(&service.namespace));
        for pod in pods
            .into_iter()
            .flat_map(|l| l.values())
            .filter(|p| p.ready && selects(selector, &p.workload.labels))
        {
            let Some(address) = pod.addresses.first() else { continue };
            out.extend(service.ports.iter().map(|port| Endpoint {
                address: Address::Ip(Arc::clone(address)),
                additional: Vec::new(),
                port: target_number(port),
                port_name: Arc::clone(&port.name),
                weight: 1,
                health: Health::Healthy,
                workload: pod.workload.clone(),
            }));
        }
        for entry in self.registry.entries_in(&service.namespace) {
            let workload = self.entry_workload(entry);
            if !selects(selector, &workload.labels) {
                continue;
            }
            for port in &service.ports {
                let number = endpoint_port(&entry.spec, port);
                out.extend(endpoint_of(&entry.spec, number, port, &workload, dns));
            }
        }
        out
    }

    /// The workload behind a WorkloadEntry object: its labels are those of its spec, overlaid by its metadata's.
    pub(super) fn entry_workload(&self, entry: &Config<WorkloadEntry>) -> Ref<Workload> {
        let mut labels = entry.spec.labels.clone();
        labels.extend(entry.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        let group = entry.annotations.get(GROUP).filter(|group| !group.is_empty());
        let named =
            group.or_else(|| entry.labels.get(WORKLOAD_NAME)).map_or_else(|| &**entry.name(), String::as_str);
        self.registry.workload(self.settings, &entry.spec, &labels, (entry.namespace(), named))
    }

    /// The endpoint of an entry on a port; none for host names and Unix sockets.
    pub(super) fn entry_endpoint(
        &self,
        entry: &WorkloadEntry,
        number: u16,
        port: &ServicePort,
        workload: &Ref<Workload>,
    ) -> Option<Endpoint> {
        entry.address.parse::<IpAddr>().ok()?;
        endpoint_of(entry, number, port, workload, false)
    }
}

impl Registry {
    /// The workload entries of a namespace that are not failing their health checks.
    pub(super) fn entries_in(
        &self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &Ref<Config<WorkloadEntry>>> {
        let from = (Arc::clone(namespace), Arc::from(""));
        let namespace = Arc::clone(namespace);
        self.workload_entries
            .range(from..)
            .take_while(move |(id, _)| id.0 == namespace)
            .map(|(_, e)| e)
            .filter(|e| {
                let checked = e.annotations.get(HEALTH_CHECKED).is_some_and(|v| TRUE.contains(&v.as_str()));
                !checked
                    || e.spec.status.conditions.iter().any(|c| c.r#type == "Healthy" && c.status == "True")
            })
    }

    fn workload(
        &self,
        settings: &Settings,
        entry: &WorkloadEntry,
        labels: &model::Labels,
        (namespace, name): (&Arc<str>, &str),
    ) -> Ref<Workload> {
        let of_labels = || LOCALITY.iter().find_map(|label| labels.get(*label).filter(|v| !v.is_empty()));
        let locality = match entry.locality.as_str() {
            "" => of_labels().map_or_else(Locality::default, |text| Locality::parse(text)),
            path => Locality::of_path(path),
        };
        // Where the home cluster is says nothing of machines outside of it.
        let network = match entry.network.as_str() {
            "" if self.cluster != settings.cluster => self.network_of(settings, &entry.address),
            own => own.to_owned(),
        };
        let tls_mode = match (labels.get(TLS_MODE).map(String::as_str), entry.service_account.is_empty()) {
            (Some("istio"), _) | (None, false) => TlsMode::Istio,
            _ => TlsMode::Disabled,
        };
        let identity = if entry.service_account.is_empty() {
            String::new()
        } else {
            identity(settings, namespace, &entry.service_account)
        };
        let facts = Facts { locality: &locality, network: &network, node: "" };
        Ref::new(Workload {
            name: Arc::from(name),
            namespace: Arc::clone(namespace),
            labels: augmented(labels, &facts, &self.cluster),
            locality: locality.clone(),
            // Only the field leads the way to an endpoint; what a label or an address tells is a label.
            network: Arc::from(entry.network.as_str()),
            cluster: Arc::clone(&self.cluster),
            identity: Arc::from(identity),
            tls_mode,
            ..Workload::default()
        })
    }
}

/// The number that an entry listens on for a port: by the port's name, else the port's target.
fn endpoint_port(entry: &WorkloadEntry, port: &ServicePort) -> u16 {
    let named = entry.ports.get(&*port.name).and_then(|n| u16::try_from(*n).ok()).filter(|n| *n != 0);
    named.unwrap_or_else(|| target_number(port))
}

fn target_number(port: &ServicePort) -> u16 {
    match port.target {
        TargetPort::Number(number) => number,
        TargetPort::Name(_) => port.number,
    }
}

/// An endpoint at the entry's address; host names only where DNS resolves them.
fn endpoint_of(
    entry: &WorkloadEntry,
    number: u16,
    port: &ServicePort,
    workload: &Ref<Workload>,
    dns: bool,
) -> Option<Endpoint> {
    let (address, number) = match entry.address.strip_prefix("unix://") {
        Some(path) => (Address::Pipe(Arc::from(path)), 0),
        None if entry.address.parse::<IpAddr>().is_ok() => {
            (Address::Ip(Arc::from(entry.address.as_str())), number)
        }
        None if dns => (Address::Host(Arc::from(entry.address.as_str())), number),
        None => return None,
    };
    Some(Endpoint {
        address,
        additional: Vec::new(),
        port: number,
        port_name: Arc::clone(&port.name),
        weight: entry.weight.max(1),
        health: Health::Unknown,
        workload: workload.clone(),
    })
}
