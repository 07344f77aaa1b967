//! Host names as Istio compares them: wildcards, subsets, specificity, short names.
//!
//! Source: Istio `pkg/config/host/name.go`; `shared/spec/xds.md` 2.6 and 6.

use std::cmp::Ordering;
use std::net::IpAddr;

/// Whether the name is a wildcard: `*` or `*.suffix`.
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// Whether some name is covered by both.
pub fn overlaps(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
        (Some(a), None) => b.ends_with(a),
        (None, Some(b)) => a.ends_with(b),
        (None, None) => a == b,
    }
}

/// Whether every name that `inner` covers is covered by `outer`.
pub fn subset_of(inner: &str, outer: &str) -> bool {
    match (inner.strip_prefix('*'), outer.strip_prefix('*')) {
        (Some(i), Some(o)) => i.ends_with(o),
        (None, Some(o)) => inner.ends_with(o),
        (Some(_), None) => false,
        (None, None) => inner == outer,
    }
}

/// More specific first: exact names before wildcards, longer wildcards before shorter, then by text.
pub fn by_specificity(a: &str, b: &str) -> Ordering {
    match (is_wildcard(a), is_wildcard(b)) {
        (false, true) => Ordering::Less,
        (true, false) => Ordering::Greater,
        _ => b.len().cmp(&a.len()).then_with(|| a.cmp(b)),
    }
}

/// The full name of a host named in a resource of `namespace`: a name without a dot gets
/// `.<namespace>.svc.<domain>`; everything else, addresses too, is taken as it stands. All in lower case.
pub fn resolve_short(host: &str, namespace: &str, domain: &str) -> String {
    if host.contains('.') || host == "*" || host.is_empty() || host.parse::<IpAddr>().is_ok() {
        return host.to_ascii_lowercase();
    }
    format!("{host}.{namespace}.svc.{domain}").to_ascii_lowercase()
}

/// The full name of a Kubernetes Service.
pub fn of_service(name: &str, namespace: &str, domain: &str) -> String {
    format!("{name}.{namespace}.svc.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_their_suffix() {
        assert!(subset_of("a.b.com", "*.b.com"));
        assert!(subset_of("*.a.com", "*.com"));
        assert!(subset_of("*.com", "*"));
        assert!(!subset_of("*.com", "a.com"));
        assert!(!subset_of("b.com", "*.b.com"));
        assert!(overlaps("*.com", "a.com") && overlaps("a.com", "*.com") && !overlaps("*.org", "*.com"));
    }

    #[test]
    fn exact_names_come_first_then_longer_wildcards() {
        let mut hosts = vec!["*", "*.com", "a.com", "*.a.com"];
        hosts.sort_by(|a, b| by_specificity(a, b));
        assert_eq!(hosts, ["a.com", "*.a.com", "*.com", "*"]);
    }

    #[test]
    fn only_names_without_a_dot_are_short() {
        assert_eq!(resolve_short("price", "shop", "cluster.local"), "price.shop.svc.cluster.local");
        assert_eq!(resolve_short("price.south", "shop", "cluster.local"), "price.south");
        assert_eq!(resolve_short("*", "shop", "cluster.local"), "*");
        assert_eq!(resolve_short("2001:db8::1", "shop", "cluster.local"), "2001:db8::1");
        assert_eq!(resolve_short("WWW.Example.com", "shop", "cluster.local"), "www.example.com");
    }
}
