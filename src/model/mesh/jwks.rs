//! Keys of those who issue tokens: which ones the mesh's policies ask for, and where each comes from.
//!
//! Source: Istio `pilot/pkg/model/jwks_resolver.go`, `pilot/pkg/security/authn/policy_applier.go`;
//! `shared/spec/security.md` 7.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::istio::JwtRule;

use super::Mesh;

/// Time to fetch keys where a rule sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Whose keys, and where they are said to be: two rules that say the same share what is fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JwksSource {
    /// Who issues the tokens.
    pub issuer: Arc<str>,
    /// Where the keys are; empty if the issuer's OpenID configuration says so.
    pub uri: Arc<str>,
}

/// Keys that were fetched, each a JSON Web Key Set (RFC 7517).
pub type Jwks = BTreeMap<JwksSource, Arc<str>>;

/// Keys that are asked for, with the time that a fetch may take.
pub type WantedKeys = BTreeMap<JwksSource, Duration>;

/// Who fetches the keys that a rule gives the address of (`PILOT_JWT_ENABLE_REMOTE_JWKS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JwksMode {
    /// The control plane.
    #[default]
    ControlPlane,
    /// The proxy, where the address is that of a service of the mesh; else the control plane.
    Hybrid,
    /// The proxy.
    Proxy,
}

/// Where the keys of a rule come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    /// They stand in the rule.
    Rule,
    /// The control plane fetches them.
    Fetched(JwksSource),
    /// The proxy fetches them from this host and port, which is a service of the mesh or none.
    Proxy {
        /// The host.
        host: Arc<str>,
        /// Its port.
        port: u16,
        /// Whether it is a service of the mesh that has this port.
        known: bool,
    },
}

impl JwksSource {
    fn of(rule: &JwtRule) -> Self {
        Self { issuer: Arc::from(rule.issuer.as_str()), uri: Arc::from(rule.jwks_uri.as_str()) }
    }
}

/// The time that a rule gives for fetching its keys.
pub fn timeout(rule: &JwtRule) -> Duration {
    let asked = rule.timeout.map(|t| Duration::from_nanos(t.as_nanos()));
    asked.filter(|t| !t.is_zero()).unwrap_or(DEFAULT_TIMEOUT)
}

/// Where the keys of a rule come from. Where proxies fetch, an address outranks keys that stand beside it.
pub fn keys_from(mesh: &Mesh, rule: &JwtRule) -> KeysFrom {
    let mode = mesh.settings.features.jwks_mode;
    if mode != JwksMode::ControlPlane && !rule.jwks_uri.is_empty() {
        let at = host_and_port(&rule.jwks_uri);
        let known = at.is_some_and(|(host, port)| is_service(mesh, host, port));
        return match at {
            Some((host, port)) if known || mode == JwksMode::Proxy => {
                KeysFrom::Proxy { host: Arc::from(host), port, known }
            }
            _ => KeysFrom::Fetched(JwksSource::of(rule)),
        };
    }
    if rule.jwks.is_empty() { KeysFrom::Fetched(JwksSource::of(rule)) } else { KeysFrom::Rule }
}

/// The keys that the control plane has to fetch for the policies of a mesh. Of rules that share them the one with most
/// patience counts.
pub fn wanted(mesh: &Mesh) -> WantedKeys {
    let mut wanted = WantedKeys::new();
    let rules = mesh.request_authentications.iter().flat_map(|policy| &policy.spec.jwt_rules);
    for rule in rules {
        if let KeysFrom::Fetched(source) = keys_from(mesh, rule) {
            let patience = wanted.entry(source).or_default();
            *patience = timeout(rule).max(*patience);
        }
    }
    wanted
}

/// Whether exactly one service of the mesh has this host, and has this port.
fn is_service(mesh: &Mesh, host: &str, port: u16) -> bool {
    matches!(mesh.services.of_host(host), [service] if service.port(port).is_some())
}

/// Host and port of an `http` or `https` address.
fn host_and_port(uri: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = uri.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_hosts_and_ports() {
        assert_eq!(host_and_port("https://idp.example/keys"), Some(("idp.example", 443)));
        assert_eq!(host_and_port("http://idp.shop.svc:8080?x=1"), Some(("idp.shop.svc", 8080)));
        assert_eq!(host_and_port("http://[2001:db8::1]/"), Some(("[2001:db8::1]", 80)));
        for bad in ["idp.example", "ftp://idp.example", "http:///keys", "http://idp:x/", "http://a@b/"] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
    }
}
