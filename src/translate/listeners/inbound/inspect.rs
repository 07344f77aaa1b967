//! The listener filters that find out what is spoken, each switched off on ports where no chain asks.
//!
//! That is not for speed only: an inspector waits for the client's first bytes, which never come where the server
//! speaks first, and TLS that is found no longer matches a chain for plain text.
//!
//! Source: Istio `pilot/pkg/networking/core/listener_inbound.go`; `shared/spec/xds.md` 4.6.

use std::collections::BTreeMap;

use envoy::config::listener::v3::listener_filter_chain_match_predicate::{MatchSet, Rule};
use envoy::config::listener::v3::{ListenerFilter, ListenerFilterChainMatchPredicate};
use envoy::r#type::v3::Int32Range;

use super::Group;
use crate::listeners::outbound::{http_inspector, tls_inspector};

/// What the chains of a port need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    tls: bool,
    http: bool,
}

/// The inspectors for the chains of `groups`; `own` is the proxy's own port, on which nothing is inspected.
/// Port 0 stands for the ports that no chain names.
pub(super) fn inspectors(groups: &[Group], own: Option<u16>) -> Vec<ListenerFilter> {
    let mut needs: BTreeMap<u16, Needs> = own.map(|port| (port, Needs::default())).into_iter().collect();
    for group in groups {
        let of_port = needs.entry(group.port().unwrap_or(0)).or_default();
        for take in group.takes() {
            of_port.tls |= take.needs_tls_inspector();
            of_port.http |= take.needs_http_inspector();
        }
    }
    let tls = needs.values().any(|n| n.tls).then(|| tls(&needs));
    let http = needs.values().any(|n| n.http).then(|| http(&needs));
    tls.into_iter().chain(http).collect()
}

fn tls(needs: &BTreeMap<u16, Needs>) -> ListenerFilter {
    // Ports that no chain names follow port 0: either the exceptions are listed, or all that need it.
    let on_by_default = needs.get(&0).is_some_and(|n| n.tls);
    let off = ports(needs, |n| !n.tls);
    let on = ports(needs, |n| n.tls);
    ListenerFilter {
        filter_disabled: if on_by_default { any_of(&off) } else { any_of(&on).map(not) },
        ..tls_inspector()
    }
}

fn http(needs: &BTreeMap<u16, Needs>) -> ListenerFilter {
    ListenerFilter { filter_disabled: any_of(&ports(needs, |n| !n.http)), ..http_inspector() }
}

fn ports(needs: &BTreeMap<u16, Needs>, wanted: impl Fn(&Needs) -> bool) -> Vec<u16> {
    needs.iter().filter(|(_, n)| wanted(n)).map(|(port, _)| *port).collect()
}

/// A predicate that holds on these ports; none if there are none.
fn any_of(ports: &[u16]) -> Option<ListenerFilterChainMatchPredicate> {
    let mut rules: Vec<_> = ports.iter().map(|port| on(*port)).collect();
    match rules.len() {
        // Envoy takes no alternative of fewer than two.
        0 | 1 => rules.pop(),
        _ => Some(ListenerFilterChainMatchPredicate { rule: Some(Rule::OrMatch(MatchSet { rules })) }),
    }
}

fn on(port: u16) -> ListenerFilterChainMatchPredicate {
    let start = i32::from(port);
    let range = Int32Range { start, end: start.saturating_add(1) };
    ListenerFilterChainMatchPredicate { rule: Some(Rule::DestinationPortRange(range)) }
}

fn not(predicate: ListenerFilterChainMatchPredicate) -> ListenerFilterChainMatchPredicate {
    ListenerFilterChainMatchPredicate { rule: Some(Rule::NotMatch(Box::new(predicate))) }
}
