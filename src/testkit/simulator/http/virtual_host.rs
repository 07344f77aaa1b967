//! Which virtual host a request is for.
//!
//! A whole name wins over the longest `*.suffix`, this over the longest `prefix.*`, this over `*`. Source: `domains` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>.

use envoy::config::route::v3::{RouteConfiguration, VirtualHost};

/// The virtual host for an authority.
pub(in crate::simulator) fn choose<'a>(
    configuration: &'a RouteConfiguration,
    authority: &str,
) -> Option<&'a VirtualHost> {
    let host = if configuration.ignore_port_in_host_matching { without_port(authority) } else { authority };
    let host = host.to_lowercase();
    let best = |of: &&VirtualHost| of.domains.iter().filter_map(|d| rate(&d.to_lowercase(), &host)).max();
    configuration.virtual_hosts.iter().filter(|of| best(of).is_some()).max_by_key(best)
}

/// How well a domain fits: its kind, then its length.
fn rate(domain: &str, host: &str) -> Option<(u8, usize)> {
    if domain == "*" {
        return Some((0, 0));
    }
    if domain == host {
        return Some((3, 0));
    }
    if let Some(suffix) = domain.strip_prefix('*') {
        let fits = host.len() > suffix.len() && host.ends_with(suffix);
        return fits.then_some((2, suffix.len()));
    }
    let prefix = domain.strip_suffix('*')?;
    (host.len() > prefix.len() && host.starts_with(prefix)).then_some((1, prefix.len()))
}

fn without_port(authority: &str) -> &str {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if digits(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => authority,
    }
}
