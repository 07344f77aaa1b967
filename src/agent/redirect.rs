//! The netfilter rules that lead a pod's traffic through its sidecar, as text for `iptables-restore --noflush`.
//!
//! Pure. Rules and their order are the reference's (spec kubernetes.md 3.10), so both look alike in a pod.

mod mangle;
mod nat;
mod options;
mod raw;

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

pub use options::{Dns, Mode, Options, Ports, Ranges};

/// The rules of both families.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Input of `iptables-restore --noflush`.
    pub v4: String,
    /// Input of `ip6tables-restore --noflush`; the pod also needs the address `::6/128` on `lo`.
    pub v6: String,
    /// What TPROXY needs beside: packets that carry its mark are delivered on this machine, whatever address they are
    /// for. Input of `ip -batch -`, and of `ip -6 -batch -` for the other family; empty for REDIRECT.
    pub routes: String,
}

/// The routing table for packets that carry the mark of TPROXY (Istio's).
const ROUTE_TABLE: u32 = 133;

/// Writes the rules. Same options, same text.
#[must_use]
pub fn rules(options: &Options) -> Rules {
    Rules { v4: Family::V4.render(options), v6: Family::V6.render(options), routes: routes(options) }
}

fn routes(options: &Options) -> String {
    match options.mode {
        Mode::Redirect => String::new(),
        Mode::Tproxy => format!(
            "rule add fwmark {} lookup {ROUTE_TABLE}\nroute add local default dev lo table {ROUTE_TABLE}\n",
            options.tproxy_mark
        ),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn render(self, options: &Options) -> String {
        let mut out = String::new();
        for table in [mangle::table(self, options), nat::table(self, options), raw::table(self, options)] {
            table.write(&mut out);
        }
        out
    }

    const fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.1/32",
            Self::V6 => "::1/128",
        }
    }

    /// The source from which the sidecar calls its application (inbound passthrough).
    const fn passthrough(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.6/32",
            Self::V6 => "::6/128",
        }
    }

    const fn has_address(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }

    fn nets(self, nets: &[IpNet]) -> impl Iterator<Item = IpNet> {
        nets.iter().copied().filter(move |net| self.has_address(net.addr()))
    }

    /// The nameservers of this family as one-address networks.
    fn nameservers(self, dns: &Dns) -> impl Iterator<Item = IpNet> {
        dns.servers.iter().copied().filter(move |&server| self.has_address(server)).map(IpNet::from)
    }
}

/// One table: its own chains, then its rules, in order.
#[derive(Debug, Default)]
struct Table {
    name: &'static str,
    chains: Vec<&'static str>,
    rules: Vec<String>,
}

impl Table {
    const fn new(name: &'static str) -> Self {
        Self { name, chains: Vec::new(), rules: Vec::new() }
    }

    /// Appends `rule` to `chain`; a chain that is not netfilter's own is made at its first use.
    fn append(&mut self, chain: &'static str, rule: &str) {
        self.declare(chain);
        self.rules.push(format!("-A {chain} {rule}"));
    }

    /// Inserts `rule` at `position` (from 1) of `chain`.
    fn insert(&mut self, chain: &'static str, position: usize, rule: &str) {
        self.declare(chain);
        self.rules.push(format!("-I {chain} {position} {rule}"));
    }

    fn declare(&mut self, chain: &'static str) {
        if chain.starts_with("ISTIO_") && !self.chains.contains(&chain) {
            self.chains.push(chain);
        }
    }

    fn write(&self, out: &mut String) {
        if self.rules.is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "*{}", self.name);
        for chain in &self.chains {
            let _ = writeln!(out, "-N {chain}");
        }
        for rule in &self.rules {
            let _ = writeln!(out, "{rule}");
        }
        out.push_str("COMMIT\n");
    }
}

#[cfg(test)]
mod tests;
