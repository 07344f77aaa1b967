//! Pods and workload entries as the mesh keeps them.
//!
//! Source: `shared/spec/kubernetes.md` 2.4, 2.5.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Object;
use api::kubernetes::{Node, Pod};
use model::endpoint::{Locality, TlsMode, Workload};
use model::mesh::{ContainerPort, Pod as MeshPod, Settings, Workloads};
use model::{Labels, Ref};

use crate::dirty::Touched;
use crate::moved::MovedIn;
use crate::pod_names;
use crate::registry::Registry;
use crate::tables::Id;

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const OLD_REGION: &str = "failure-domain.beta.kubernetes.io/region";
const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";
const NETWORK: &str = "topology.istio.io/network";
const CLUSTER: &str = "topology.istio.io/cluster";
const HOSTNAME: &str = "kubernetes.io/hostname";
const TLS_MODE: &str = "security.istio.io/tlsMode";
const LOCALITY: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];

impl Registry {
    /// Converts the pods that changed and collects the workload entries; returns what differs.
    pub(crate) fn update_workloads(
        &self,
        workloads: &mut Arc<Workloads>,
        touched: &Touched,
        settings: &Settings,
        resettled: bool,
    ) -> MovedIn {
        let pods = self.update_pods(workloads, touched, settings, resettled);
        MovedIn { pods, entries: self.update_workload_entries(workloads, touched) }
    }

    /// Converts the pods that changed; all of them if what they are derived from changed. Returns the pods whose
    /// converted form differs.
    fn update_pods(
        &self,
        section: &mut Arc<Workloads>,
        touched: &Touched,
        settings: &Settings,
        resettled: bool,
    ) -> BTreeSet<Id> {
        let all = resettled || touched.nodes || touched.namespaces;
        let touched: Vec<&Id> =
            if all { self.pods.keys().chain(&touched.pods).collect() } else { touched.pods.iter().collect() };
        let mut differing = BTreeSet::new();
        let mut changed: BTreeMap<Arc<str>, Vec<(Arc<str>, Option<Ref<MeshPod>>)>> = BTreeMap::new();
        for id in touched {
            let new = self.pods.get(id).map(|pod| Ref::new(self.convert_pod(pod, settings)));
            if section.pod(&id.0, &id.1) != new.as_ref() && differing.insert(id.clone()) {
                changed.entry(Arc::clone(&id.0)).or_default().push((Arc::clone(&id.1), new));
            }
        }
        if changed.is_empty() {
            return differing;
        }
        let mut workloads = (**section).clone();
        for (namespace, pods) in changed {
            let mut list = workloads.pods.get(&namespace).map(|l| (**l).clone()).unwrap_or_default();
            for (name, pod) in pods {
                match pod {
                    Some(pod) => list.insert(name, pod),
                    None => list.remove(&name),
                };
            }
            if list.is_empty() {
                workloads.pods.remove(&namespace);
            } else {
                workloads.pods.insert(namespace, Arc::new(list));
            }
        }
        *section = Arc::new(workloads);
        differing
    }

    /// Rebuilds the workload entries of the namespaces where one changed; returns those namespaces.
    fn update_workload_entries(&self, section: &mut Arc<Workloads>, touched: &Touched) -> BTreeSet<Arc<str>> {
        if touched.workload_entries.is_empty() {
            return BTreeSet::new();
        }
        let mut workloads = (**section).clone();
        for namespace in &touched.workload_entries {
            let mut list: Vec<_> = self
                .workload_entries
                .range((Arc::clone(namespace), Arc::from(""))..)
                .take_while(|(id, _)| id.0 == *namespace)
                .map(|(_, e)| e.clone())
                .collect();
            list.sort_by(|a, b| a.by_age(b));
            if list.is_empty() {
                workloads.entries.remove(namespace);
            } else {
                workloads.entries.insert(Arc::clone(namespace), Arc::new(list));
            }
        }
        *section = Arc::new(workloads);
        touched.workload_entries.clone()
    }

    fn convert_pod(&self, pod: &Object<Pod>, settings: &Settings) -> MeshPod {
        let spec = &pod.spec;
        let mut addresses: Vec<Arc<str>> = Vec::new();
        for ip in spec.ips() {
            if !addresses.iter().any(|a| **a == *ip) {
                addresses.push(Arc::from(ip));
            }
        }
        let finished = matches!(spec.status.phase.as_str(), "Failed" | "Succeeded");
        let ready = spec.ready() && !pod.meta.deletion && !finished;
        let ports = named_ports(spec);
        let workload = Ref::new(self.pod_workload(pod, settings));
        MeshPod {
            name: Arc::clone(&pod.meta.name),
            namespace: Arc::clone(&pod.meta.namespace),
            addresses,
            ports,
            ready,
            finished,
            workload,
        }
    }

    fn pod_workload(&self, pod: &Object<Pod>, settings: &Settings) -> Workload {
        let labels = &pod.meta.labels;
        let node = self.nodes.get(&(Arc::from(""), Arc::from(pod.spec.node_name.as_str())));
        let locality = pod_locality(labels, node.map(|n| &**n));
        let network = labels
            .get(NETWORK)
            .cloned()
            .unwrap_or_else(|| self.network_of(settings, pod.spec.ips().next().unwrap_or_default()));
        let account =
            if pod.spec.service_account_name.is_empty() { "default" } else { &pod.spec.service_account_name };
        let identity = identity(settings, &pod.meta.namespace, account);
        let facts = Facts { locality: &locality, network: &network, node: &pod.spec.node_name };
        Workload {
            name: Arc::from(pod_names::workload(pod)),
            namespace: Arc::clone(&pod.meta.namespace),
            labels: augmented(labels, &facts, &self.cluster),
            locality: locality.clone(),
            network: Arc::from(network.as_str()),
            cluster: Arc::clone(&self.cluster),
            identity: Arc::from(identity),
            tls_mode: tls_mode(labels),
            node: Arc::from(pod.spec.node_name.as_str()),
            hostname: hostname(pod),
            subdomain: Arc::from(pod.spec.subdomain.as_str()),
        }
    }
}

/// The name of a pod below its subdomain; empty if it has no subdomain.
fn hostname(pod: &Object<Pod>) -> Arc<str> {
    match (pod.spec.subdomain.as_str(), pod.spec.hostname.as_str()) {
        ("", _) => Arc::default(),
        (_, "") => Arc::clone(&pod.meta.name),
        (_, own) => Arc::from(own),
    }
}

/// The SPIFFE id of a service account.
pub(crate) fn identity(settings: &Settings, namespace: &str, account: &str) -> String {
    format!("spiffe://{}/ns/{namespace}/sa/{account}", settings.mesh.trust_domain)
}

/// Named TCP ports of the containers, then of native sidecars (init containers that keep running).
fn named_ports(pod: &Pod) -> Vec<ContainerPort> {
    let sidecars = pod.init_containers.iter().filter(|c| c.restart_policy == "Always");
    let ports = pod.containers.iter().chain(sidecars).flat_map(|c| &c.ports);
    let named = ports.filter(|p| !p.name.is_empty() && matches!(p.protocol.as_str(), "" | "TCP"));
    named
        .filter_map(|p| {
            let number = u16::try_from(p.container_port).ok()?;
            Some(ContainerPort { name: Arc::from(p.name.as_str()), number })
        })
        .collect()
}

/// What labels are augmented with.
pub(crate) struct Facts<'a> {
    pub(crate) locality: &'a Locality,
    pub(crate) network: &'a str,
    pub(crate) node: &'a str,
}

/// The labels with cluster, locality, network and host name added where they are known. A label for the network stays.
pub(crate) fn augmented(labels: &Labels, facts: &Facts<'_>, cluster: &str) -> Labels {
    let mut out = labels.clone();
    let told = labels.get(NETWORK).is_some_and(|network| !network.is_empty());
    let pairs = [
        (CLUSTER, cluster),
        (REGION, facts.locality.region.as_str()),
        (ZONE, facts.locality.zone.as_str()),
        (SUBZONE, facts.locality.subzone.as_str()),
        (NETWORK, if told { "" } else { facts.network }),
        (HOSTNAME, facts.node),
    ];
    for (key, value) in pairs {
        if !value.is_empty() {
            out.insert(key.to_owned(), value.to_owned());
        }
    }
    out
}

/// `security.istio.io/tlsMode`.
pub(crate) fn tls_mode(labels: &Labels) -> TlsMode {
    match labels.get(TLS_MODE).map(String::as_str) {
        Some("istio") => TlsMode::Istio,
        _ => TlsMode::Disabled,
    }
}

/// By the pod's own label, else by its node.
fn pod_locality(labels: &Labels, node: Option<&Object<Node>>) -> Locality {
    if let Some(text) = LOCALITY.iter().find_map(|l| labels.get(*l)).filter(|t| !t.is_empty()) {
        return Locality::parse(text);
    }
    let Some(node) = node else { return Locality::default() };
    let label =
        |keys: &[&str]| keys.iter().find_map(|k| node.meta.labels.get(*k)).cloned().unwrap_or_default();
    Locality {
        region: label(&[REGION, OLD_REGION]),
        zone: label(&[ZONE, OLD_ZONE]),
        subzone: label(&[SUBZONE]),
    }
}
