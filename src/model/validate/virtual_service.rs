//! Rules of VirtualService: hosts, gateways, routes of TLS and TCP. Those of HTTP are in [`super::http`].

use std::collections::BTreeMap;

use api::istio::{
    Destination, L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService,
};

use super::check::Check;
use super::http;
use super::shadowed;
use super::text::{export_to, host, is_fqdn, is_ip, is_label, is_wildcard_fqdn, optional_port, port, subnet};
use crate::hostname;

/// The name of the gateway that all sidecars are.
const MESH: &str = "mesh";

pub(super) fn virtual_service(check: &mut Check, service: &VirtualService) {
    let in_mesh = service.gateways.is_empty() || service.gateways.iter().any(|name| name == MESH);
    let beyond = service.gateways.iter().any(|name| name != MESH);
    if service.hosts.is_empty() {
        delegate(check, service);
    }
    check.each("hosts", &service.hosts, |check, name| virtual_host(check, name, in_mesh));
    overlapping(check, &service.hosts);
    check.each("gateways", &service.gateways, |check, name| gateway(check, name));
    if service.http.is_empty() && service.tls.is_empty() && service.tcp.is_empty() {
        check.error("", "there are no routes", "write http, tls or tcp");
    }
    let root = !service.hosts.is_empty();
    check.each("http", &service.http, |check, rule| http::rule(check, rule, http::Place { root, beyond }));
    shadowed::shadowed(check, &service.http);
    check.each("tls", &service.tls, |check, route| tls(check, route, &service.hosts));
    check.each("tcp", &service.tcp, tcp);
    export_to(check, &service.export_to);
}

/// What has no hosts is a delegate: HTTP rules that others take over.
fn delegate(check: &mut Check, service: &VirtualService) {
    if service.http.is_empty() {
        check.error("hosts", "there is no host", "name the hosts that the routes are for");
    }
    if !service.gateways.is_empty() {
        let hint = "leave gateways out, or name hosts";
        check.error(
            "gateways",
            "a VirtualService without hosts is a delegate, whose gateways are those of its root",
            hint,
        );
    }
    for (field, given) in [("tls", !service.tls.is_empty()), ("tcp", !service.tcp.is_empty())] {
        if given {
            check.error(
                field,
                "a VirtualService without hosts is a delegate, which has http only",
                "leave it out, or name hosts",
            );
        }
    }
}

fn virtual_host(check: &mut Check, name: &str, in_mesh: bool) {
    if name == "*" && in_mesh {
        let hint = "name a domain, or gateways other than mesh";
        check.error("", "the host * would take all traffic of the mesh", hint);
    } else if !is_ip(name) && !is_wildcard_fqdn(name) {
        check.error(
            "",
            format!("{name:?} is no host name"),
            "write a DNS name; * may stand for its first label only",
        );
    }
}

fn overlapping(check: &mut Check, hosts: &[String]) {
    for (index, name) in hosts.iter().enumerate() {
        let clash = hosts.iter().take(index).find(|before| {
            let wild = hostname::is_wildcard(name) || hostname::is_wildcard(before);
            *before == name || (wild && hostname::overlaps(before, name))
        });
        if let Some(before) = clash {
            let message = format!("{name:?} is covered together with {before:?} by this VirtualService");
            check.error(&format!("hosts[{index}]"), message, "keep one of the two");
        }
    }
}

/// The name of a Gateway: `name`, `namespace/name` or `mesh`.
pub(super) fn gateway(check: &mut Check, name: &str) {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [_] if name.contains('.') && is_fqdn(name) => {
            let hint = "write NAMESPACE/NAME";
            check.warning(
                "",
                format!("{name:?} is the old way to name a Gateway of another namespace"),
                hint,
            );
        }
        [name] if is_label(name) => {}
        [namespace, name] if is_label(namespace) && is_fqdn(name) => {}
        _ => check.error("", format!("{name:?} names no Gateway"), "write NAME, NAMESPACE/NAME or mesh"),
    }
}

fn tls(check: &mut Check, route: &TlsRoute, hosts: &[String]) {
    if route.r#match.is_empty() {
        check.error("match", "a TLS route needs a match", "name the SNI hosts that it is for");
    }
    check.each("match", &route.r#match, |check, matched| tls_match(check, matched, hosts));
    if route.route.is_empty() {
        check.error("route", "the route leads nowhere", "name a destination");
    }
    check.each("route", &route.route, |check, to| {
        check.at("destination", |check| destination(check, &to.destination))
    });
    weights(check, &route.route);
}

fn tls_match(check: &mut Check, matched: &TlsMatchAttributes, hosts: &[String]) {
    if matched.sni_hosts.is_empty() {
        check.error("sniHosts", "the match names no SNI host", "name at least one, which is among the hosts");
    }
    check.each("sniHosts", &matched.sni_hosts, |check, name| {
        if is_ip(name) {
            check.warning(
                "",
                format!("{name:?} is an address, which no client sends as SNI"),
                "write a host name",
            );
        } else if !is_wildcard_fqdn(name) {
            check.error(
                "",
                format!("{name:?} is no host name"),
                "write a DNS name; * may stand for its first label only",
            );
        } else if !hosts.iter().any(|host| hostname::subset_of(name, host)) {
            let hint = "add it to hosts, or leave it out";
            check.error("", format!("{name:?} is not among the hosts of the VirtualService"), hint);
        }
    });
    connection(check, &matched.destination_subnets, matched.port, &matched.source_labels, &matched.gateways);
}

fn tcp(check: &mut Check, route: &TcpRoute) {
    check.each("match", &route.r#match, |check, matched: &L4MatchAttributes| {
        connection(
            check,
            &matched.destination_subnets,
            matched.port,
            &matched.source_labels,
            &matched.gateways,
        );
        if !matched.source_subnet.is_empty() {
            subnet(check, "sourceSubnet", &matched.source_subnet);
        }
    });
    if route.route.is_empty() {
        check.error("route", "the route leads nowhere", "name a destination");
    }
    check.each("route", &route.route, |check, to| {
        check.at("destination", |check| destination(check, &to.destination))
    });
    weights(check, &route.route);
}

/// What matches of TLS and TCP have in common.
fn connection(
    check: &mut Check,
    subnets: &[String],
    number: u32,
    labels: &BTreeMap<String, String>,
    gateways: &[String],
) {
    check.each("destinationSubnets", subnets, |check, range| subnet(check, "", range));
    optional_port(check, "port", number);
    source_labels(check, labels);
    check.each("gateways", gateways, |check, name| gateway(check, name));
}

/// Labels of clients.
pub(super) fn source_labels(check: &mut Check, labels: &BTreeMap<String, String>) {
    if labels.keys().any(String::is_empty) {
        check.error("sourceLabels", "a label has no name", "write the name of a label");
    }
}

/// Where a route leads.
pub(super) fn destination(check: &mut Check, to: &Destination) {
    if to.host == "*" {
        check.error("host", "a destination is one service", "name the service");
    } else {
        host(check, "host", &to.host);
    }
    if !to.subset.is_empty() && !is_label(&to.subset) {
        check.error(
            "subset",
            format!("{:?} is no name of a subset", to.subset),
            "write letters, digits and -",
        );
    }
    if let Some(selected) = &to.port {
        port(check, "port.number", selected.number);
    }
}

fn weights(check: &mut Check, routes: &[RouteDestination]) {
    let listed: Vec<i32> = routes.iter().map(|to| to.weight).collect();
    weights_of(check, &listed);
}

/// Shares of several destinations: none below zero, and not all of them zero.
pub(super) fn weights_of(check: &mut Check, weights: &[i32]) {
    for (index, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight < 0) {
        check.error(
            &format!("route[{index}].weight"),
            format!("the weight {weight} is negative"),
            "write 0 or more",
        );
    }
    if weights.len() > 1 && weights.iter().all(|weight| *weight <= 0) {
        check.error(
            "route",
            "the weights of all destinations are 0",
            "give at least one destination a weight",
        );
    }
}
