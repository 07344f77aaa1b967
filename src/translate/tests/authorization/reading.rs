//! A direct reading of AuthorizationPolicies as their documents say them: of identities, paths and lists, not of filters.
//!
//! Source: <https://istio.io/latest/docs/reference/config/security/authorization-policy/>,
//! <https://istio.io/latest/docs/concepts/security/#implicit-enablement>; for connections without HTTP
//! `shared/spec/security.md` 8.5.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use testkit::simulator::{Authorizer, Request};

/// Who connects.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` over mutual TLS; none in plain text.
    pub(crate) identity: Option<String>,
    pub(crate) address: IpAddr,
    /// The name of the server in the handshake, or nothing.
    pub(crate) sni: String,
}

/// What somebody asks of the workload, and what the authorizer would say of it.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) peer: Peer,
    /// A request to port 8080; none for bytes to port 7000.
    pub(crate) request: Option<Request>,
    pub(crate) authorizer: Authorizer,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Passes,
    Refused,
}

/// What policies say: CUSTOM first, then DENY, then ALLOW, of which one must match if there is any.
pub(crate) fn verdict(policies: &[Value], asking: &Asking) -> Verdict {
    let enforced = policies.iter().filter(|p| p["metadata"]["annotations"]["istio.io/dry-run"] != "true");
    let of = |action: &'static str| {
        let of = enforced.clone().filter(move |policy| policy["spec"]["action"] == action);
        of.map(move |policy| {
            elements(&policy["spec"]["rules"]).any(|rule| holds(rule, asking, action == "ALLOW"))
        })
    };
    if of("CUSTOM").any(|matches| matches) && asking.authorizer != Authorizer::Allows {
        return Verdict::Refused;
    }
    if of("DENY").any(|matches| matches) {
        return Verdict::Refused;
    }
    if of("ALLOW").next().is_some() && !of("ALLOW").any(|matches| matches) {
        return Verdict::Refused;
    }
    Verdict::Passes
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Whether a rule matches. On a connection without HTTP one that allows by HTTP allows nothing, and any other looks at
/// the rest of it.
fn holds(rule: &Value, asking: &Asking, allows: bool) -> bool {
    let fields = |kind: &str, inner: &str| -> Vec<(String, Vec<String>)> {
        elements(&rule[kind]).flat_map(|one| lists(&one[inner])).collect()
    };
    let of_http = |name: &str| matches!(name, "hosts" | "methods" | "paths") || name.starts_with("request.");
    let asks_http = fields("to", "operation").iter().any(|(name, _)| of_http(&positive(name).0))
        || elements(&rule["when"]).any(|when| of_http(when["key"].as_str().expect("a key")));
    if asking.request.is_none() && asks_http && allows {
        return false;
    }
    let known = |name: &str| asking.request.is_some() || !of_http(name);
    let each = |kind: &str, inner: &str| {
        let mut any = elements(&rule[kind]).peekable();
        any.peek().is_none()
            || any.any(|one| {
                lists(&one[inner]).into_iter().all(|(name, values)| {
                    let (name, wanted) = positive(&name);
                    !known(&name) || values.iter().any(|value| fits(&name, value, asking)) == wanted
                })
            })
    };
    let conditions = elements(&rule["when"]).all(|when| {
        let key = when["key"].as_str().expect("a key");
        let any = |list: &str| elements(&when[list]).any(|v| fits(key, v.as_str().expect("text"), asking));
        !known(key) || (when["values"].is_null() || any("values")) && !any("notValues")
    });
    each("from", "source") && each("to", "operation") && conditions
}

fn lists(object: &Value) -> Vec<(String, Vec<String>)> {
    let members = object.as_object().into_iter().flatten();
    let texts = |list: &Value| elements(list).map(|v| v.as_str().expect("text").to_owned()).collect();
    members.map(|(name, list)| (name.clone(), texts(list))).collect()
}

/// The field of which a list is, and whether it must match.
fn positive(name: &str) -> (String, bool) {
    match name.strip_prefix("not") {
        Some(rest) => (format!("{}{}", rest[..1].to_lowercase(), &rest[1..]), false),
        None => (name.to_owned(), true),
    }
}

/// Whether what is asked has a value in a field.
fn fits(field: &str, value: &str, asking: &Asking) -> bool {
    let Asking { peer, request, .. } = asking;
    let request = request.as_ref();
    let port = if request.is_some() { "8080" } else { "7000" };
    let part = |number: usize| {
        let identity = peer.identity.as_deref()?;
        identity.split('/').nth(number)
    };
    match field {
        "principals" | "source.principal" => peer.identity.as_deref().is_some_and(|id| ends(value, id)),
        "namespaces" | "source.namespace" => part(2).is_some_and(|namespace| glob(value, namespace)),
        "trustDomains" | "source.trustDomain" => part(0).is_some_and(|domain| glob(value, domain)),
        "ipBlocks" | "source.ip" => within(value, peer.address),
        "remoteIpBlocks" => {
            let forwarded = request.and_then(|r| r.value("x-forwarded-for"));
            let last = forwarded.as_deref().and_then(|list| list.rsplit(',').next());
            within(value, last.map_or(peer.address, |text| text.trim().parse().expect("an address")))
        }
        "hosts" => request.is_some_and(|r| ends(&value.to_lowercase(), &r.authority.to_lowercase())),
        "methods" => request.is_some_and(|r| ends(value, &r.method)),
        "paths" => request.is_some_and(|r| path(value, r.path.split('?').next().unwrap_or_default())),
        "ports" | "destination.port" => value == port,
        "destination.ip" => within(value, IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1))),
        "connection.sni" => ends(value, &peer.sni) && !peer.sni.is_empty(),
        "request.headers[x-a]" => {
            let header = request.and_then(|r| r.value("x-a"));
            header.is_some_and(|header| value == "*" || ends(value, &header))
        }
        other => panic!("{other}"),
    }
}

/// A whole value, a beginning, an end, or anything but nothing.
fn ends(pattern: &str, text: &str) -> bool {
    match (pattern, pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        ("*", ..) => !text.is_empty(),
        (_, Some(end), _) => text.ends_with(end),
        (_, _, Some(start)) => text.starts_with(start),
        _ => text == pattern,
    }
}

/// A value in which a star stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|from| text.get(from..).is_some_and(|t| glob(rest, t)))),
    }
}

/// A path, or a template of it: `{*}` is one segment, `{**}` all that follow.
fn path(pattern: &str, path: &str) -> bool {
    if !pattern.contains('{') {
        return ends(pattern, path);
    }
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        match (wanted, segments.next()) {
            ("{**}", Some(_)) => return true,
            ("{*}", Some(segment)) if !segment.is_empty() => {}
            (literal, Some(segment)) if literal == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// A range of IPv4 or an address of it.
fn within(range: &str, address: IpAddr) -> bool {
    let (network, length) = range.split_once('/').unwrap_or((range, "32"));
    let (IpAddr::V4(address), Ok(network)) = (address, network.parse::<Ipv4Addr>()) else { return false };
    let length: u32 = length.parse().expect("a length");
    let bits = |ip: Ipv4Addr| u32::from(ip).checked_shr(32 - length).unwrap_or(0);
    bits(network) == bits(address)
}
