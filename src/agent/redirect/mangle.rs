//! Table mangle: TPROXY of inbound traffic, and dropping of invalid packets.

use super::options::{Mode, Options, Ports};
use super::{Family, Table};

pub(super) fn table(family: Family, options: &Options) -> Table {
    let mut mangle = Table::new("mangle");
    if options.drop_invalid {
        mangle.append("PREROUTING", "-m conntrack --ctstate INVALID -j ISTIO_DROP");
        mangle.append("ISTIO_DROP", "-j DROP");
    }
    let no_ports = matches!(&options.inbound_ports, Ports::Only(ports) if ports.is_empty());
    if options.mode == Mode::Tproxy && !no_ports {
        tproxy(&mut mangle, family, options);
    }
    mangle
}

fn tproxy(mangle: &mut Table, family: Family, options: &Options) {
    let mark = options.tproxy_mark;
    let own = mark.wrapping_add(1);
    let loopback = family.loopback();
    for chain in ["ISTIO_DIVERT", "ISTIO_TPROXY", "ISTIO_INBOUND"] {
        mangle.declare(chain);
    }
    for interface in &options.exclude_interfaces {
        mangle.append("PREROUTING", &format!("-i {interface} -j RETURN"));
        mangle.append("OUTPUT", &format!("-o {interface} -j RETURN"));
    }
    mangle.append("ISTIO_DIVERT", &format!("-j MARK --set-mark {mark}"));
    mangle.append("ISTIO_DIVERT", "-j ACCEPT");
    let target = format!("-j TPROXY --tproxy-mark {mark}/0xffffffff --on-port {}", options.inbound_port);
    mangle.append("ISTIO_TPROXY", &format!("! -d {loopback} -p tcp {target}"));
    inbound(mangle, options);
    // Answers of a marked connection must find their way back to the proxy.
    mangle.append("PREROUTING", &format!("-p tcp -m mark --mark {mark} -j CONNMARK --save-mark"));
    mangle.append("OUTPUT", &format!("-p tcp -o lo -m mark --mark {mark} -j RETURN"));
    let owners = options.proxy_uids.iter().map(|uid| format!("--uid-owner {uid}"));
    for owner in owners.chain(options.proxy_gids.iter().map(|gid| format!("--gid-owner {gid}"))) {
        mangle.append(
            "OUTPUT",
            &format!("! -d {loopback} -p tcp -o lo -m owner {owner} -j MARK --set-mark {own}"),
        );
    }
    mangle.append("OUTPUT", &format!("-p tcp -m connmark --mark {mark} -j CONNMARK --restore-mark"));
    mangle.insert("ISTIO_INBOUND", 1, &format!("-p tcp -m mark --mark {mark} -j RETURN"));
    mangle.insert("ISTIO_INBOUND", 2, &format!("-p tcp -s {} -i lo -j RETURN", family.passthrough()));
    mangle.insert("ISTIO_INBOUND", 3, &format!("-p tcp -i lo -m mark ! --mark {own} -j RETURN"));
}

fn inbound(mangle: &mut Table, options: &Options) {
    let (excluded, ports): (&[u16], Vec<String>) = match &options.inbound_ports {
        Ports::All => (&options.inbound_ports_exclude, vec![String::new()]),
        Ports::Only(ports) => (&[], ports.iter().map(|port| format!("--dport {port} ")).collect()),
    };
    mangle.append("PREROUTING", "-p tcp -j ISTIO_INBOUND");
    for port in excluded {
        mangle.append("ISTIO_INBOUND", &format!("-p tcp --dport {port} -j RETURN"));
    }
    for port in ports {
        let known = "-m conntrack --ctstate RELATED,ESTABLISHED";
        mangle.append("ISTIO_INBOUND", &format!("-p tcp {port}{known} -j ISTIO_DIVERT"));
        mangle.append("ISTIO_INBOUND", &format!("-p tcp {port}-j ISTIO_TPROXY"));
    }
}
