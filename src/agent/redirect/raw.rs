//! Table raw: with DNS capture, the application's and the proxy's DNS packets are tracked in separate zones,
//! or the two would collide when both use one source port.

use super::options::Options;
use super::{Family, Table};

pub(super) fn table(family: Family, options: &Options) -> Table {
    let mut raw = Table::new("raw");
    let Some(dns) = options.captured_dns() else { return raw };
    raw.append("OUTPUT", "-j ISTIO_OUTPUT_DNS");
    let owners = options.proxy_uids.iter().map(|uid| format!("--uid-owner {uid}"));
    for owner in owners.chain(options.proxy_gids.iter().map(|gid| format!("--gid-owner {gid}"))) {
        raw.append("ISTIO_OUTPUT_DNS", &format!("-p udp --dport 53 -m owner {owner} -j CT --zone 1"));
        let answers = format!("-p udp --sport {} -m owner {owner} -j CT --zone 2", options.dns_port);
        raw.append("ISTIO_OUTPUT_DNS", &answers);
    }
    if dns.all {
        raw.append("ISTIO_OUTPUT_DNS", "-p udp --dport 53 -j CT --zone 2");
        raw.append("PREROUTING", "-j ISTIO_INBOUND");
        raw.append("ISTIO_INBOUND", "-p udp --sport 53 -j CT --zone 1");
        return raw;
    }
    let servers: Vec<_> = family.nameservers(dns).collect();
    if !servers.is_empty() {
        raw.append("PREROUTING", "-j ISTIO_INBOUND");
    }
    for server in servers {
        raw.append("ISTIO_OUTPUT_DNS", &format!("-p udp --dport 53 -d {server} -j CT --zone 2"));
        raw.append("ISTIO_INBOUND", &format!("-p udp --sport 53 -s {server} -j CT --zone 1"));
    }
    raw
}
