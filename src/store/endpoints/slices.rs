//! Endpoints from EndpointSlices.
//!
//! Source: Istio `pilot/pkg/serviceregistry/kube/controller/endpointslice.go`; `shared/spec/kubernetes.md` 2.3.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::Object;
use api::kubernetes::{Endpoint as SliceEndpoint, EndpointSlice};
use model::Ref;
use model::endpoint::{Address, Endpoint, Health, Workload};
use model::mesh::Pod;
use model::service::Service;

use super::InCluster;
use crate::registry::Registry;

impl InCluster<'_> {
    /// The endpoints in the slices of a Kubernetes Service, each address and port once.
    pub(super) fn endpoints_of_slices(&self, service: &Service) -> Vec<Endpoint> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for slice in self.registry.slices_of_service(service) {
            if slice.spec.address_type == "FQDN" || self.skipped_family(service, slice) {
                continue;
            }
            for endpoint in &slice.spec.endpoints {
                self.add(service, slice, endpoint, &mut |e: Endpoint| {
                    if seen.insert((e.address.clone(), Arc::clone(&e.port_name))) {
                        out.push(e);
                    }
                });
            }
        }
        out
    }

    /// With dual stack on, the IPv6 slices of a dual-stack Service say nothing new.
    fn skipped_family(&self, service: &Service, slice: &Object<EndpointSlice>) -> bool {
        self.settings.features.dual_stack && service.addresses.len() > 1 && slice.spec.address_type == "IPv6"
    }

    fn add(
        &self,
        service: &Service,
        slice: &Object<EndpointSlice>,
        endpoint: &SliceEndpoint,
        emit: &mut impl FnMut(Endpoint),
    ) {
        let health = health(service, endpoint);
        for address in &endpoint.addresses {
            let Some(pod) = self.pod_of(slice, endpoint, address) else { continue };
            let workload = match &pod {
                Found::Pod(pod) => pod.workload.clone(),
                Found::Nobody => self.anonymous(address),
            };
            let additional = match &pod {
                Found::Pod(pod) if self.settings.features.dual_stack && service.addresses.len() > 1 => {
                    pod.addresses.iter().filter(|a| ***a != **address).cloned().collect()
                }
                _ => Vec::new(),
            };
            for port in &slice.spec.ports {
                let Some(number) = port.port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0) else {
                    continue;
                };
                emit(Endpoint {
                    address: Address::Ip(Arc::from(address.as_str())),
                    additional: additional.clone(),
                    port: number,
                    port_name: Arc::from(port.name.as_str()),
                    weight: 1,
                    health,
                    workload: workload.clone(),
                });
            }
        }
    }

    /// The pod behind an address. `None` withholds the address: its pod is named but not known yet.
    fn pod_of(
        &self,
        slice: &Object<EndpointSlice>,
        endpoint: &SliceEndpoint,
        address: &str,
    ) -> Option<Found> {
        if let Some(target) = endpoint.target_ref.as_ref().filter(|t| t.kind == "Pod") {
            let namespace =
                if target.namespace.is_empty() { &*slice.meta.namespace } else { &target.namespace };
            return self.workloads?.pod(namespace, &target.name).cloned().map(Found::Pod);
        }
        let pods = self.workloads.and_then(|w| w.pods.get(&slice.meta.namespace));
        let found =
            pods.and_then(|l| l.values().find(|p| p.ready && p.addresses.iter().any(|a| **a == *address)));
        Some(found.cloned().map_or(Found::Nobody, Found::Pod))
    }

    /// A workload of which only the address is known.
    fn anonymous(&self, address: &str) -> Ref<Workload> {
        let network = self.registry.network_of(self.settings, address);
        let facts = crate::workloads::Facts { locality: &Default::default(), network: &network, node: "" };
        Ref::new(Workload {
            labels: crate::workloads::augmented(&model::Labels::new(), &facts, &self.registry.cluster),
            network: Arc::from(network.as_str()),
            cluster: Arc::clone(&self.registry.cluster),
            ..Workload::default()
        })
    }
}

impl Registry {
    fn slices_of_service<'a>(&'a self, service: &Service) -> impl Iterator<Item = &'a Object<EndpointSlice>> {
        let id = (Arc::clone(&service.namespace), Arc::clone(&service.name));
        let names = self.slices_of.get(&id).into_iter().flatten();
        names.filter_map(move |name| self.slices.get(&(Arc::clone(&id.0), Arc::clone(name)))).map(|s| &**s)
    }

    /// Whether some slice of the service names addresses without their pods.
    pub(super) fn has_anonymous_slices(&self, namespace: &Arc<str>, service: &Arc<str>) -> bool {
        let names = self.slices_of.get(&(Arc::clone(namespace), Arc::clone(service)));
        names.into_iter().flatten().any(|name| {
            let slice = self.slices.get(&(Arc::clone(namespace), Arc::clone(name)));
            slice.is_some_and(|s| s.spec.endpoints.iter().any(|e| e.target_ref.is_none()))
        })
    }
}

/// What is behind an address.
enum Found {
    Pod(Ref<Pod>),
    Nobody,
}

fn health(service: &Service, endpoint: &SliceEndpoint) -> Health {
    let conditions = &endpoint.conditions;
    if conditions.ready.unwrap_or(true) {
        return Health::Healthy;
    }
    let (serving, terminating) = (conditions.serving.unwrap_or(true), conditions.terminating.unwrap_or(true));
    if service.has_persistent_session() && serving && terminating {
        Health::Draining
    } else if terminating {
        Health::Terminating
    } else {
        Health::Unhealthy
    }
}
