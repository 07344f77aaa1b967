//! Table nat: REDIRECT of outbound traffic, and of inbound traffic unless TPROXY does that.

use super::options::{Dns, Mode, Options, Ports, Ranges};
use super::{Family, Table};

pub(super) fn table(family: Family, options: &Options) -> Table {
    let mut nat = Table::new("nat");
    for chain in ["ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT"] {
        nat.declare(chain);
    }
    for interface in &options.exclude_interfaces {
        nat.append("PREROUTING", &format!("-i {interface} -j RETURN"));
        nat.append("OUTPUT", &format!("-o {interface} -j RETURN"));
    }
    let redirect = |port: u16| format!("-p tcp -j REDIRECT --to-ports {port}");
    nat.append("ISTIO_INBOUND", &format!("-p tcp --dport {} -j RETURN", options.tunnel_port));
    nat.append("ISTIO_REDIRECT", &redirect(options.outbound_port));
    nat.append("ISTIO_IN_REDIRECT", &redirect(options.inbound_port));
    if options.mode == Mode::Redirect {
        inbound(&mut nat, options);
    }
    nat.append("OUTPUT", "-j ISTIO_OUTPUT");
    for port in &options.outbound_ports_exclude {
        nat.append("ISTIO_OUTPUT", &format!("-p tcp --dport {port} -j RETURN"));
        nat.append("ISTIO_OUTPUT", &format!("-p udp --dport {port} -j RETURN"));
    }
    nat.append("ISTIO_OUTPUT", &format!("-o lo -s {} -j RETURN", family.passthrough()));
    for uid in &options.proxy_uids {
        let first = if options.captured_dns().is_some() {
            format!("-p tcp -m multiport ! --dports 53,{}", options.tunnel_port)
        } else {
            format!("-p tcp ! --dport {}", options.tunnel_port)
        };
        owner(&mut nat, family, options, &first, &format!("--uid-owner {uid}"));
    }
    for gid in &options.proxy_gids {
        let first = format!("-p tcp ! --dport {}", options.tunnel_port);
        owner(&mut nat, family, options, &first, &format!("--gid-owner {gid}"));
    }
    if let Some(dns) = options.captured_dns() {
        capture_dns(&mut nat, family, dns, options.dns_port);
    }
    outbound(&mut nat, family, options);
    nat
}

fn inbound(nat: &mut Table, options: &Options) {
    match &options.inbound_ports {
        Ports::All => {
            nat.append("PREROUTING", "-p tcp -j ISTIO_INBOUND");
            for port in &options.inbound_ports_exclude {
                nat.append("ISTIO_INBOUND", &format!("-p tcp --dport {port} -j RETURN"));
            }
            nat.append("ISTIO_INBOUND", "-p tcp -j ISTIO_IN_REDIRECT");
        }
        Ports::Only(ports) if ports.is_empty() => {}
        Ports::Only(ports) => {
            nat.append("PREROUTING", "-p tcp -j ISTIO_INBOUND");
            for port in ports {
                nat.append("ISTIO_INBOUND", &format!("-p tcp --dport {port} -j ISTIO_IN_REDIRECT"));
            }
        }
    }
}

/// What one user or group of the proxy sends: a call that came back to the pod itself enters as inbound; what the
/// application says to itself on loopback and what the proxy says to the world passes.
fn owner(nat: &mut Table, family: Family, options: &Options, first: &str, owner: &str) {
    let loopback = family.loopback();
    nat.append(
        "ISTIO_OUTPUT",
        &format!("-o lo ! -d {loopback} {first} -m owner {owner} -j ISTIO_IN_REDIRECT"),
    );
    // With this rule an application that asked for redirection of a loopback range would not get it.
    if !includes_loopback(options) {
        let but_dns = if options.captured_dns().is_some() { "-p tcp ! --dport 53 " } else { "" };
        nat.append("ISTIO_OUTPUT", &format!("-o lo {but_dns}-m owner ! {owner} -j RETURN"));
    }
    nat.append("ISTIO_OUTPUT", &format!("-m owner {owner} -j RETURN"));
}

fn includes_loopback(options: &Options) -> bool {
    match &options.outbound_ranges {
        Ranges::All => false,
        Ranges::Only(ranges) => ranges.iter().any(|net| net.addr().is_loopback()),
    }
}

fn capture_dns(nat: &mut Table, family: Family, dns: &Dns, port: u16) {
    let servers: Vec<String> = if dns.all {
        vec![String::new()]
    } else {
        family.nameservers(dns).map(|server| format!("-d {server} ")).collect()
    };
    if servers.is_empty() {
        return;
    }
    nat.append("ISTIO_OUTPUT", "-j ISTIO_OUTPUT_DNS");
    nat.declare("ISTIO_OUTPUT_DNS");
    for protocol in ["tcp", "udp"] {
        for server in &servers {
            let rule = format!("-p {protocol} --dport 53 {server}-j REDIRECT --to-ports {port}");
            nat.append("ISTIO_OUTPUT_DNS", &rule);
        }
    }
}

fn outbound(nat: &mut Table, family: Family, options: &Options) {
    nat.append("ISTIO_OUTPUT", &format!("-d {} -j RETURN", family.loopback()));
    for net in family.nets(&options.outbound_ranges_exclude) {
        nat.append("ISTIO_OUTPUT", &format!("-d {net} -j RETURN"));
    }
    for port in &options.outbound_ports {
        nat.append("ISTIO_OUTPUT", &format!("-p tcp --dport {port} -j ISTIO_REDIRECT"));
    }
    match &options.outbound_ranges {
        Ranges::All => nat.append("ISTIO_OUTPUT", "-j ISTIO_REDIRECT"),
        Ranges::Only(ranges) => {
            for net in family.nets(ranges) {
                nat.append("ISTIO_OUTPUT", &format!("-d {net} -j ISTIO_REDIRECT"));
            }
        }
    }
}
