//! Trust domains that count as one: an identity of one of them is that of all.
//!
//! Source: Istio `pilot/pkg/security/trustdomain/bundle.go`; `shared/spec/security.md` 8.4, trap 40.

/// The name that stands for the mesh's own trust domain, whatever it is called.
const LOCAL: &str = "cluster.local";
/// Parts of `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
const PARTS: usize = 5;

/// Principals, those of the mesh's trust domain once for each of `trust_domains`: its own and its aliases.
pub(super) fn of_principals(principals: &[String], trust_domains: &[String]) -> Vec<String> {
    principals.iter().flat_map(|principal| of_principal(principal, trust_domains)).collect()
}

fn of_principal(principal: &str, trust_domains: &[String]) -> Vec<String> {
    let own = vec![principal.to_owned()];
    let Some((named, rest)) = principal.split_once('/') else { return own };
    let full = principal.split('/').count() == PARTS;
    let local = named == LOCAL || trust_domains.iter().any(|td| meets(named, td));
    if !full || named == "*" || !local {
        return own;
    }
    let mut all = Vec::new();
    for trust_domain in trust_domains {
        // A name like *-domain covers this one as it stands.
        let covered = named.strip_prefix('*').is_some_and(|end| trust_domain.ends_with(end));
        let spelt = if covered { principal.to_owned() } else { format!("{trust_domain}/{rest}") };
        if !all.contains(&spelt) {
            all.push(spelt);
        }
    }
    all
}

/// Trust domains; each that is one of the mesh's stands for all of them.
pub(super) fn of_trust_domains(values: &[String], trust_domains: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for value in values {
        let known = trust_domains.contains(value);
        let spelt = if known { trust_domains } else { std::slice::from_ref(value) };
        for one in spelt {
            if !all.contains(one) {
                all.push(one.clone());
            }
        }
    }
    all
}

/// Whether two names may mean the same; either may have a star at an end.
fn meets(a: &str, b: &str) -> bool {
    let covers = |pattern: &str, name: &str| {
        pattern.strip_suffix('*').is_some_and(|beginning| name.starts_with(beginning))
            || pattern.strip_prefix('*').is_some_and(|end| name.ends_with(end))
    };
    a == b || covers(a, b) || covers(b, a)
}
