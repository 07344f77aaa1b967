//! Rules of ServiceEntry.

use api::istio::{Location, Port, Resolution, ServiceEntry, WorkloadEntry};

use super::check::Check;
use super::text::{export_to, is_cidr, is_fqdn, is_ip, is_wildcard_fqdn, optional_port, port, subnet};
use super::{selector, workload};
use crate::hostname;
use crate::protocol::{Class, Protocol};

const UNIX: &str = "unix://";

pub(super) fn service_entry(check: &mut Check, entry: &ServiceEntry) {
    if entry.hosts.is_empty() {
        check.error("hosts", "the ServiceEntry has no host", "name the hosts that it is for");
    }
    check.each("hosts", &entry.hosts, |check, host| entry_host(check, host));
    if entry.workload_selector.is_some() && !entry.endpoints.is_empty() {
        let hint = "keep workloadSelector or endpoints";
        check.error("", "the endpoints are both listed and selected", hint);
    }
    selector::workloads(check, entry.workload_selector.as_ref());
    ports(check, &entry.ports);
    addresses(check, entry);
    check.each("endpoints", &entry.endpoints, |check, endpoint| {
        workload::ports_and_labels(check, endpoint);
        for name in endpoint.ports.keys().filter(|name| !entry.ports.iter().any(|port| port.name == **name)) {
            let hint = "use the name of one of the ServiceEntry's ports";
            check.error("ports", format!("{name:?} is no port of the ServiceEntry"), hint);
        }
    });
    match entry.resolution {
        Resolution::None => without_resolution(check, entry),
        Resolution::Static => listed(check, entry),
        Resolution::Dns | Resolution::DnsRoundRobin => by_dns(check, entry),
        Resolution::DynamicDns => by_request(check, entry),
    }
    together(check, entry);
    export_to(check, &entry.export_to);
}

fn entry_host(check: &mut Check, host: &str) {
    if host == "*" {
        let hint =
            "name a domain, such as *.example.com; outboundTrafficPolicy says what becomes of other hosts";
        check.error("", "the host * would be every host", hint);
    } else if !is_wildcard_fqdn(host) {
        check.error(
            "",
            format!("{host:?} is no host name"),
            "write a DNS name; * may stand for its first label only",
        );
    } else if host.starts_with('*') && !host.starts_with("*.") {
        let hint = "write *. before the domain";
        check.warning(
            "",
            "a * that is only a part of a label is compared as text, and DNS has no such names",
            hint,
        );
    }
}

fn ports(check: &mut Check, ports: &[Port]) {
    for (index, declared) in ports.iter().enumerate() {
        check.at(format_args!("ports[{index}]"), |check| {
            port(check, "number", declared.number);
            optional_port(check, "targetPort", declared.target_port);
            if declared.name.is_empty() {
                check.error("name", "the port has no name", "name the port");
            }
            if !declared.protocol.is_empty() && Protocol::parse(&declared.protocol).is_none() {
                let hint = "write HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS";
                check.error("protocol", format!("{:?} is no protocol", declared.protocol), hint);
            }
            let mut before = ports.iter().take(index);
            if before.clone().any(|other| other.number == declared.number) {
                check.error(
                    "number",
                    format!("port {} is listed twice", declared.number),
                    "list each number once",
                );
            }
            if !declared.name.is_empty() && before.any(|other| other.name == declared.name) {
                check.error(
                    "name",
                    format!("port name {:?} is used twice", declared.name),
                    "use each name once",
                );
            }
        });
    }
}

fn addresses(check: &mut Check, entry: &ServiceEntry) {
    let ranges = matches!(entry.resolution, Resolution::None | Resolution::Static);
    check.each("addresses", &entry.addresses, |check, address| {
        subnet(check, "", address);
        if is_cidr(address) && !ranges {
            let hint = "write one address, or resolution NONE or STATIC";
            check.error("", "a range of addresses cannot be resolved by DNS", hint);
        }
    });
}

/// Resolution NONE: to the address that the client asked for.
fn without_resolution(check: &mut Check, entry: &ServiceEntry) {
    if !entry.endpoints.is_empty() {
        check.error(
            "endpoints",
            "resolution NONE has no endpoints",
            "write resolution STATIC or DNS, or leave them out",
        );
    }
    if entry.workload_selector.is_some() {
        check.warning(
            "workloadSelector",
            "resolution NONE does not look at workloads",
            "write resolution STATIC",
        );
    }
}

/// Resolution STATIC: addresses, or sockets of a service with one port.
fn listed(check: &mut Check, entry: &ServiceEntry) {
    check.each("endpoints", &entry.endpoints, |check, endpoint| match endpoint.address.strip_prefix(UNIX) {
        Some(path) => {
            if !path.starts_with(['/', '@']) || path.contains('\0') {
                check.error("address", "the path of the socket is not absolute", "write unix:///PATH");
            }
            if entry.ports.len() != 1 {
                check.error("address", "a Unix socket can be the endpoint of one port only", "list one port");
            }
            if !endpoint.ports.is_empty() {
                check.error("ports", "a Unix socket has no ports", "leave them out");
            }
        }
        None if endpoint.address.is_empty() && !endpoint.network.is_empty() => {}
        None if !is_ip(&endpoint.address) => {
            let message = format!("{:?} is no address", endpoint.address);
            check.error(
                "address",
                message,
                "write an IP address or unix://PATH, or resolution DNS for names",
            );
        }
        None => {}
    });
}

/// Resolution DNS and DNS_ROUND_ROBIN: names, of the endpoints or the hosts themselves.
fn by_dns(check: &mut Check, entry: &ServiceEntry) {
    if entry.endpoints.is_empty() && entry.workload_selector.is_none() {
        check.each("hosts", &entry.hosts, |check, host| {
            if !is_fqdn(host) {
                let hint = "list endpoints, name the host in full, or write resolution DYNAMIC_DNS or NONE";
                check.error(
                    "",
                    format!("{host:?} cannot be looked up in DNS, and there are no endpoints"),
                    hint,
                );
            }
        });
    }
    if entry.resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        check.error(
            "endpoints",
            "resolution DNS_ROUND_ROBIN takes one endpoint",
            "keep one, or write resolution DNS",
        );
    }
    check.each("endpoints", &entry.endpoints, |check, endpoint| {
        let address = &endpoint.address;
        let named =
            is_fqdn(address) || is_ip(address) || (address.is_empty() && !endpoint.network.is_empty());
        if !named {
            check.error(
                "address",
                format!("{address:?} cannot be looked up in DNS"),
                "write a host name or an IP address",
            );
        }
    });
}

/// Resolution DYNAMIC_DNS: the name in each request.
fn by_request(check: &mut Check, entry: &ServiceEntry) {
    check.each("hosts", &entry.hosts, |check, host| {
        if !hostname::is_wildcard(host) {
            check.error(
                "",
                "resolution DYNAMIC_DNS is for wildcard hosts",
                "write *.DOMAIN, or resolution DNS",
            );
        }
    });
    if !entry.addresses.is_empty() || !entry.endpoints.is_empty() || entry.workload_selector.is_some() {
        let hint = "leave addresses, endpoints and workloadSelector out";
        check.error("", "resolution DYNAMIC_DNS looks up the name in each request", hint);
    }
    check.each("ports", &entry.ports, |check, port| {
        let fits = matches!(
            Protocol::parse(&port.protocol),
            Some(Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::Tls)
        );
        if !fits {
            let hint = "write HTTP, HTTP2, GRPC or TLS, which name the host in each request";
            check.error("protocol", "resolution DYNAMIC_DNS needs a host name on the wire", hint);
        }
    });
    if entry.location == Location::MeshInternal {
        check.warning(
            "location",
            "hosts that are resolved by request are taken to be outside of the mesh",
            "leave it out",
        );
    }
}

/// What hosts, ports and addresses make of each other.
fn together(check: &mut Check, entry: &ServiceEntry) {
    let opaque = |port: &Port| {
        Protocol::of_declared(&port.protocol).class() == Class::Tcp && {
            !Protocol::of_declared(&port.protocol).is_tls()
        }
    };
    let by_address = entry.ports.iter().any(opaque);
    if entry.hosts.len() > 1 && by_address && entry.resolution != Resolution::None {
        let hint = "write a ServiceEntry for each host";
        check.error("hosts", "hosts with ports of opaque TCP cannot be told from each other", hint);
    }
}

/// The address of a WorkloadEntry that stands alone may be a name.
pub(super) fn is_address(entry: &WorkloadEntry) -> bool {
    match entry.address.strip_prefix(UNIX) {
        Some(path) => path.starts_with(['/', '@']) && !path.contains('\0'),
        None => is_ip(&entry.address) || is_fqdn(&entry.address),
    }
}
