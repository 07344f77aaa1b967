//! What DestinationRules and the mesh configuration say of a TCP proxy.

use api::Duration;
use api::istio::{DestinationRule, TcpSettings, TrafficPolicy, TunnelSettings};
use model::service::{Registry, Service};

use super::Tunnel;

/// The name in statistics that a pattern gives.
pub(crate) fn stat_name(
    pattern: &str,
    service: &Service,
    port: u32,
    port_name: &str,
    subset: &str,
) -> String {
    let short = match service.registry {
        Registry::Kubernetes => format!("{}.{}", service.name, service.namespace),
        Registry::External => service.host.to_string(),
    };
    pattern
        .replace("%SERVICE%", &short)
        .replace("%SERVICE_NAME%", &service.name)
        .replace("%SERVICE_FQDN%", &service.host)
        .replace("%SERVICE_PORT%", &port.to_string())
        .replace("%SERVICE_PORT_NAME%", port_name)
        .replace("%SUBSET_NAME%", subset)
        .replace("%TARGET_PORT%", "0")
}

/// Time without data after which connections are closed.
pub(crate) fn idle_timeout(rule: &DestinationRule) -> Option<Duration> {
    tcp(rule)?.idle_timeout
}

/// Time after which connections are closed, data or not.
pub(crate) fn max_duration(rule: &DestinationRule) -> Option<Duration> {
    tcp(rule)?.max_connection_duration
}

/// What the policy of the whole service says of connections: those of subsets and ports do not count.
fn tcp(rule: &DestinationRule) -> Option<&TcpSettings> {
    rule.traffic_policy.as_ref()?.connection_pool.as_ref()?.tcp.as_ref()
}

fn policy_of<'a>(rule: &'a DestinationRule, subset: &str) -> Option<&'a TrafficPolicy> {
    rule.subsets.iter().find(|s| !subset.is_empty() && s.name == subset)?.traffic_policy.as_ref()
}

/// Whether the client's address decides; a subset that has a load balancer of its own decides for itself.
pub(crate) fn hashes_source_ip(rule: &DestinationRule, subset: &str) -> bool {
    let balancer = |policy: &TrafficPolicy| policy.load_balancer.clone();
    let own = policy_of(rule, subset).and_then(balancer);
    let found = own.or_else(|| rule.traffic_policy.as_ref().and_then(balancer));
    found.and_then(|lb| lb.consistent_hash).and_then(|hash| hash.use_source_ip) == Some(true)
}

/// The tunnel of the whole service, or of a subset alone.
pub(crate) fn tunnel(rule: &DestinationRule, subset: &str) -> Option<Tunnel> {
    let policy = match subset {
        "" => rule.traffic_policy.as_ref(),
        subset => policy_of(rule, subset),
    };
    let TunnelSettings { target_host, target_port, protocol } = policy?.tunnel.clone()?;
    Some(Tunnel { host: target_host, port: target_port, post: protocol.eq_ignore_ascii_case("POST") })
}
