//! Consistent hashing: which part of a request chooses the endpoint.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`consistentHashToHashPolicy`); `shared/spec/xds.md` 5.6.

use api::ObjectRef;
use api::istio::{ConsistentHashLb, DestinationRule, LoadBalancerSettings, TrafficPolicy};
use envoy::config::route::v3::route_action::HashPolicy;
use envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
};
use model::Ref;
use model::mesh::MergedRule;

use super::retry::duration;

/// What a request is hashed by, and the rules that say so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hashing {
    /// The setting; only what names the hashed part of the request is looked at.
    pub by: ConsistentHashLb,
    /// The DestinationRules.
    pub from: Vec<ObjectRef>,
}

/// What requests to a port of a service, or a subset of it, are hashed by; `port` is none where the route does not
/// name one, and then port-level settings do not count.
///
/// A port of the subset wins over the subset, over the port of the rule, over the rule; one that balances without a hash
/// leaves the wider hash in force.
pub fn hashing(rule: Option<&Ref<MergedRule>>, port: Option<u16>, subset: &str) -> Option<Ref<Hashing>> {
    let rule = rule?;
    let by = setting(&rule.rule.spec, port, subset)?;
    Some(Ref::new(Hashing { by: by.clone(), from: rule.from.clone() }))
}

fn setting<'a>(rule: &'a DestinationRule, port: Option<u16>, subset: &str) -> Option<&'a ConsistentHashLb> {
    let of_subset = rule.subsets.iter().find(|s| !subset.is_empty() && s.name == subset);
    let of_subset = of_subset.and_then(|s| s.traffic_policy.as_ref());
    [of_subset, rule.traffic_policy.as_ref()].into_iter().flatten().find_map(|policy| {
        let levels = [at_port(policy, port), policy.load_balancer.as_ref()];
        levels.into_iter().flatten().find_map(|lb| lb.consistent_hash.as_ref())
    })
}

fn at_port(policy: &TrafficPolicy, port: Option<u16>) -> Option<&LoadBalancerSettings> {
    let wanted = u32::from(port?);
    let of_port = |s: &&api::istio::PortTrafficPolicy| s.port.as_ref().is_some_and(|p| p.number == wanted);
    policy.port_level_settings.iter().find(of_port)?.load_balancer.as_ref()
}

/// Whether any part of the rule hashes.
pub fn hashes(rule: &DestinationRule) -> bool {
    let subsets = rule.subsets.iter().filter_map(|s| s.traffic_policy.as_ref());
    rule.traffic_policy.iter().chain(subsets).any(|policy| {
        let ports = policy.port_level_settings.iter().filter_map(|p| p.load_balancer.as_ref());
        policy.load_balancer.iter().chain(ports).any(|lb| lb.consistent_hash.is_some())
    })
}

/// The policy in Envoy's form; none if the setting names no part of the request. Envoy refuses empty names.
pub fn build(hashing: &Hashing) -> Option<HashPolicy> {
    let by = &hashing.by;
    let given = |name: &&String| !name.is_empty();
    let specifier = if let Some(name) = by.http_header_name.as_ref().filter(given) {
        PolicySpecifier::Header(Header { header_name: name.clone(), ..Header::default() })
    } else if let Some(cookie) = by.http_cookie.as_ref().filter(|c| !c.name.is_empty()) {
        PolicySpecifier::Cookie(Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.map(duration),
            path: cookie.path.clone(),
            attributes: cookie
                .attributes
                .iter()
                .filter(|a| !a.name.is_empty())
                .map(|a| CookieAttribute { name: a.name.clone(), value: a.value.clone() })
                .collect(),
        })
    } else if let Some(source_ip) = by.use_source_ip {
        PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip })
    } else if let Some(name) = by.http_query_parameter_name.as_ref().filter(given) {
        PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() })
    } else {
        return None;
    };
    Some(HashPolicy { terminal: false, policy_specifier: Some(specifier) })
}
