//! Which filter chain takes a connection.
//!
//! Criterion after criterion, in Envoy's order, only the chains with the most specific value that fits are left; there is
//! no way back to a less specific one. Source: `FilterChainMatch` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto>.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::CidrRange;
use envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener};

use super::Call;
use super::known;
use super::listener::Seen;

const MATCHED: &[&str] = &[
    "destination_port",
    "prefix_ranges",
    "server_names",
    "transport_protocol",
    "application_protocols",
    "direct_source_prefix_ranges",
    "source_prefix_ranges",
    "source_ports",
];
const USED: &[&str] = &["filter_chain_match", "filters", "transport_socket", "name"];
const INERT: &[&str] = &["metadata", "transport_socket_connect_timeout"];

/// A chain that is still in question.
type Candidate<'a> = (&'a FilterChain, FilterChainMatch);

/// The chain that takes the connection; none if it is closed.
pub(super) fn choose<'a>(
    listener: &'a Listener,
    call: &Call,
    seen: &Seen,
) -> Result<Option<&'a FilterChain>> {
    let mut left: Vec<Candidate<'a>> = Vec::new();
    for chain in &listener.filter_chains {
        let wanted = chain.filter_chain_match.clone().unwrap_or_default();
        known::only(&wanted, MATCHED, &[]).with_context(|| format!("filter chain {:?}", chain.name))?;
        left.push((chain, wanted));
    }
    let port = seen.destination.map(|d| u32::from(d.port()));
    left = by(left, |m| specific(m.destination_port.as_ref().map(|p| Some(p.value) == port)));
    left = by_range(left, |m| &m.prefix_ranges, seen.destination.map(|d| d.ip()))?;
    left = by(left, |m| names(&m.server_names, &seen.server_name));
    let transport = |m: &FilterChainMatch| {
        (!m.transport_protocol.is_empty()).then(|| m.transport_protocol == seen.transport)
    };
    left = by(left, |m| specific(transport(m)));
    left = by(left, |m| protocols(&m.application_protocols, &seen.protocols));
    left = by_range(left, |m| &m.direct_source_prefix_ranges, Some(call.source.ip()))?;
    left = by_range(left, |m| &m.source_prefix_ranges, Some(call.source.ip()))?;
    let source = u32::from(call.source.port());
    left = by(left, |m| specific((!m.source_ports.is_empty()).then(|| m.source_ports.contains(&source))));
    let chosen = match left.as_slice() {
        [] => listener.default_filter_chain.as_ref(),
        [(only, _)] => Some(*only),
        several => bail!("{} filter chains take the same connections, which Envoy refuses", several.len()),
    };
    if let Some(chain) = chosen {
        known::only(chain, USED, INERT)?;
    }
    Ok(chosen)
}

/// Leaves those that fit best; `fit` answers how well, none for not at all.
fn by<'a>(left: Vec<Candidate<'a>>, fit: impl Fn(&FilterChainMatch) -> Option<usize>) -> Vec<Candidate<'a>> {
    let rated: Vec<(usize, Candidate<'a>)> =
        left.into_iter().filter_map(|candidate| Some((fit(&candidate.1)?, candidate))).collect();
    let best = rated.iter().map(|(rate, _)| *rate).max();
    rated.into_iter().filter(|(rate, _)| Some(*rate) == best).map(|(_, candidate)| candidate).collect()
}

/// A criterion that is not set fits, but worse than one that is.
fn specific(fits: Option<bool>) -> Option<usize> {
    match fits {
        None => Some(0),
        Some(true) => Some(1),
        Some(false) => None,
    }
}

/// The longest name wins: whole, then `*.` and what follows.
fn names(wanted: &[String], name: &str) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    let fits = |pattern: &&String| match pattern.strip_prefix('*') {
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => !name.is_empty() && pattern.as_str() == name,
    };
    let exact = |pattern: &String| if pattern.starts_with('*') { pattern.len() } else { usize::MAX };
    wanted.iter().filter(fits).map(exact).max()
}

/// The first protocol of the client's that any chain names wins.
fn protocols(wanted: &[String], announced: &[String]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    let first = announced.iter().position(|p| wanted.contains(p))?;
    Some(usize::MAX - first)
}

/// The longest range wins.
fn by_range<'a>(
    left: Vec<Candidate<'a>>,
    ranges: impl Fn(&FilterChainMatch) -> &Vec<CidrRange>,
    address: Option<IpAddr>,
) -> Result<Vec<Candidate<'a>>> {
    for (_, wanted) in &left {
        ranges(wanted).iter().try_for_each(|r| contains(r, address).map(drop))?;
    }
    Ok(by(left, |m| {
        let all = ranges(m);
        if all.is_empty() {
            return Some(0);
        }
        all.iter().filter_map(|r| contains(r, address).ok().flatten()).max()
    }))
}

/// One more than the length of the range, if it contains the address.
pub(super) fn contains(range: &CidrRange, address: Option<IpAddr>) -> Result<Option<usize>> {
    let length = range.prefix_len.map_or(0, |l| l.value);
    let network: IpAddr = range.address_prefix.parse().context("the prefix of a range")?;
    let fits = match (network, address) {
        (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(length)).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(length)).unwrap_or(0);
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    };
    Ok(fits.then_some(usize::try_from(length)? + 1))
}
