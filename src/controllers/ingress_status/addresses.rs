//! At which addresses the requests of Ingresses go in. Pure.

use std::net::IpAddr;

use api::kubernetes::{LoadBalancerIngress, Service, ServiceType};

/// Of a Service: of its load balancer, and those that lead to it besides; of one that stands for a name, that name.
pub(super) fn of_service(service: &Service) -> Vec<String> {
    if service.r#type == ServiceType::ExternalName {
        return vec![service.external_name.clone()];
    }
    let balanced = service.status.load_balancer.ingress.iter();
    let balanced = balanced.map(|one| if one.ip.is_empty() { &one.hostname } else { &one.ip });
    balanced.chain(&service.external_ips).cloned().collect()
}

/// Addresses in the form and order in which a status has them: IP addresses first, each once.
pub(super) fn listed(addresses: Vec<String>) -> Vec<LoadBalancerIngress> {
    let addresses = addresses.into_iter().filter(|address| !address.is_empty());
    let entry = |address: String| match address.parse::<IpAddr>() {
        Ok(_) => LoadBalancerIngress { ip: address, ..LoadBalancerIngress::default() },
        Err(_) => LoadBalancerIngress { hostname: address, ..LoadBalancerIngress::default() },
    };
    let mut entries: Vec<LoadBalancerIngress> = addresses.map(entry).collect();
    entries.sort_by(|a, b| (&a.hostname, &a.ip).cmp(&(&b.hostname, &b.ip)));
    entries.dedup();
    entries
}
