//! Which connections of a listener have a chain already: Envoy refuses a listener of which two chains match one
//! connection alike, by whatever of their names and ranges.
//!
//! Chains come in the order in which they count: what an earlier one has a later one does not get, and the owner of
//! the later one is told who has it. Source: Envoy, `FilterChainMatch`.

use std::collections::BTreeMap;

use api::{Kind, ObjectKey, Problem, Severity};

use super::chain::{Chain, TcpChain, mask};

/// A range of addresses as Envoy compares them; `None` for all addresses.
type Range = Option<(u128, u32)>;

/// A name in the SNI, in lower case; empty for any.
type Name = String;

/// What the chains of a listener take.
#[derive(Default)]
struct Claims {
    taken: BTreeMap<(Range, Name), ObjectKey>,
    problems: Vec<Problem>,
    port: u16,
}

/// The chains without what others before them take, and what their owners are told of it. Chains that take
/// everything, and those for HTTP, come through as they are.
pub(super) fn settle(chains: Vec<Chain>, port: u16) -> (Vec<Chain>, Vec<Problem>) {
    let mut claims = Claims { port, ..Claims::default() };
    let mut settled = Vec::with_capacity(chains.len());
    for chain in chains {
        match chain {
            Chain::Tcp(tcp) if !tcp.takes_all() => {
                settled.extend(claims.grant(*tcp).into_iter().map(|c| Chain::Tcp(Box::new(c))));
            }
            other => settled.push(other),
        }
    }
    (settled, claims.problems)
}

impl Claims {
    /// What is left for a chain: itself, if nothing of it is taken. Where different names are left for its ranges it
    /// becomes several.
    fn grant(&mut self, chain: TcpChain) -> Vec<TcpChain> {
        let (Some(names), Some(ranges)) = (self.names(&chain), self.ranges(&chain)) else {
            return Vec::new();
        };
        // Names that are left, and the ranges for which they are.
        let mut left: Vec<(Vec<Name>, Vec<String>)> = Vec::new();
        let mut lost: BTreeMap<ObjectKey, Name> = BTreeMap::new();
        for (range, text) in ranges {
            let mut free = Vec::new();
            for name in &names {
                match self.taken.get(&(range, name.clone())) {
                    Some(by) => drop(lost.entry(by.clone()).or_insert_with(|| name.clone())),
                    None => free.push(name.clone()),
                }
            }
            for name in &free {
                self.taken.insert((range, name.clone()), chain.origin.object.clone());
            }
            match left.iter_mut().find(|(names, _)| *names == free) {
                _ if free.is_empty() => {}
                Some((_, texts)) => texts.extend(text),
                None => left.push((free, text.into_iter().collect())),
            }
        }
        self.tell(&chain, lost);
        let with = |(names, ranges): (Vec<Name>, Vec<String>)| {
            let any = names.iter().any(String::is_empty);
            let sni_hosts = if any { chain.sni_hosts.clone() } else { names };
            TcpChain { sni_hosts, ranges, ..chain.clone() }
        };
        left.into_iter().map(with).collect()
    }

    /// The names of a chain, each once; none if Envoy takes none of them.
    fn names(&mut self, chain: &TcpChain) -> Option<Vec<Name>> {
        let mut names: Vec<Name> = Vec::new();
        let mut wrong = Vec::new();
        for name in chain.names() {
            let lower = name.to_lowercase();
            if lower.contains('*') && !lower.starts_with("*.") {
                wrong.push(name);
            } else if !names.contains(&lower) {
                names.push(lower);
            }
        }
        if !wrong.is_empty() {
            let message = format!("{wrong:?} cannot be told by TLS and are left out");
            self.problems.push(problem(chain, message, "begin wildcards with *. and no other label"));
        } else if names.is_empty() {
            names.push(Name::new());
        }
        (!names.is_empty()).then_some(names)
    }

    /// The ranges of a chain with their texts, each once; none if it names some and none of them is one.
    fn ranges(&mut self, chain: &TcpChain) -> Option<Vec<(Range, Option<String>)>> {
        let mut ranges: Vec<(Range, Option<String>)> = Vec::new();
        let mut wrong = Vec::new();
        for text in &chain.ranges {
            match mask(text) {
                None => wrong.push(text),
                found if ranges.iter().any(|(range, _)| *range == found) => {}
                found => ranges.push((found, Some(text.clone()))),
            }
        }
        if !wrong.is_empty() {
            let message = format!("{wrong:?} are no address ranges and are left out");
            self.problems.push(problem(chain, message, "write ADDRESS or ADDRESS/LENGTH"));
        } else if ranges.is_empty() {
            ranges.push((None, None));
        }
        (!ranges.is_empty()).then_some(ranges)
    }

    /// Tells the owner of a chain what another object has. The rules of one object may fall back on each other, and it
    /// is usual that services share an address.
    fn tell(&mut self, chain: &TcpChain, lost: BTreeMap<ObjectKey, Name>) {
        let own = &chain.origin.object;
        for (by, name) in lost {
            let usual = own.kind != Kind::VirtualService && name.is_empty();
            if by == *own || usual {
                continue;
            }
            let what =
                if name.is_empty() { "what it matches".to_owned() } else { format!("SNI host {name:?}") };
            let message =
                format!("{what} on port {} is that of {by} already; it is left out here", self.port);
            self.problems.push(problem(
                chain,
                message,
                "match other names, ports or subnets, or remove one of them",
            ));
        }
    }
}

fn problem(chain: &TcpChain, message: String, hint: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        object: chain.origin.object.clone(),
        field: chain.origin.field.clone(),
        message,
        hint: hint.to_owned(),
    }
}
