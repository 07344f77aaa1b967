//! Variables that say who is let in, and how that is found out.
//!
//! Source: `shared/spec/security.md` 9.1.

use std::collections::BTreeSet;

use auth::kubernetes::Ask;
use auth::oidc::Rule;
use auth::{Forwarded, Rate};
use debug::Access;
use ipnet::IpNet;

use super::{Environment, process};

/// Who is let in, and how that is found out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Security {
    /// Whether streams over TLS need credentials (`XDS_AUTH`).
    pub(crate) authenticate: bool,
    /// Whether streams without TLS do, too (`XDS_AUTH_PLAINTEXT`).
    pub(crate) authenticate_plaintext: bool,
    /// Whether proxies must be who they say (`PILOT_ENABLE_XDS_IDENTITY_CHECK`).
    pub(crate) check_identity: bool,
    /// Tokens must be for one of these (`TOKEN_AUDIENCES`).
    pub(crate) audiences: Vec<String>,
    /// When the API server is asked about tokens (`PILOTHOUSE_TOKEN_REVIEW`).
    pub(crate) ask: Ask,
    /// Whose tokens are taken beside those of Kubernetes (`JWT_RULE`).
    pub(crate) issuer: Option<Rule>,
    /// How often an address may ask for certificates (`PILOTHOUSE_CSR_RATE_PER_SOURCE`, `PILOTHOUSE_CSR_BURST_PER_SOURCE`).
    pub(crate) rate: Rate,
    /// Whose word about client certificates is taken (`TRUSTED_GATEWAY_CIDR`).
    pub(crate) gateways: Forwarded,
    /// Service accounts of proxies of nodes (`CA_TRUSTED_NODE_ACCOUNTS`), as (namespace, name).
    pub(crate) nodes: Vec<(String, String)>,
}

/// As the environment says.
pub(crate) fn security() -> Security {
    of(process)
}

fn of(source: impl Fn(&str) -> Option<String>) -> Security {
    let e = Environment(source);
    let gateways = e.read("TRUSTED_GATEWAY_CIDR", Vec::new(), |text| {
        list(text).map(|network| network.parse::<IpNet>().ok()).collect::<Option<Vec<_>>>()
    });
    let nodes = e.read("CA_TRUSTED_NODE_ACCOUNTS", Vec::new(), |text| {
        let pair = |name: &str| {
            let (namespace, account) = name.split_once('/')?;
            Some((namespace.to_owned(), account.to_owned()))
        };
        list(text).map(pair).collect::<Option<Vec<_>>>()
    });
    let usual = vec!["istio-ca".to_owned()];
    Security {
        authenticate: e.flag("XDS_AUTH", true),
        authenticate_plaintext: e.flag("XDS_AUTH_PLAINTEXT", false),
        check_identity: e.flag("PILOT_ENABLE_XDS_IDENTITY_CHECK", true),
        audiences: e.read("TOKEN_AUDIENCES", usual, |text| {
            Some(list(text).map(str::to_owned).collect::<Vec<_>>()).filter(|all| !all.is_empty())
        }),
        ask: e.read("PILOTHOUSE_TOKEN_REVIEW", Ask::default(), |text| match text {
            "always" => Some(Ask::Always),
            "unproven" => Some(Ask::Unproven),
            _ => None,
        }),
        issuer: e.read("JWT_RULE", None, |text| {
            let rule = Rule::parse(text);
            let told = rule.inspect_err(|error| tracing::error!(error, "JWT_RULE: no such token is taken"));
            told.ok().map(Some)
        }),
        rate: rate(&e),
        gateways: Forwarded::new(gateways),
        nodes,
    }
}

/// Which debug pages there are for whom; nobody is known yet.
pub(crate) fn pages() -> Access {
    pages_of(process)
}

fn pages_of(source: impl Fn(&str) -> Option<String>) -> Access {
    let e = Environment(source);
    Access {
        pages: e.flag("ENABLE_DEBUG_ON_HTTP", true),
        by_namespace: e.flag("ENABLE_DEBUG_ENDPOINT_AUTH", true),
        allowed: e.read("DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES", BTreeSet::new(), |text| {
            Some(list(text).map(str::to_owned).collect())
        }),
        ..Access::loopback()
    }
}

/// A burst that is not said lets in what comes in four seconds.
fn rate<S: Fn(&str) -> Option<String>>(e: &Environment<S>) -> Rate {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let per_second = e.read("PILOTHOUSE_CSR_RATE_PER_SOURCE", Rate::default().per_second, number);
    let burst = e.read("PILOTHOUSE_CSR_BURST_PER_SOURCE", per_second * 4.0, number);
    Rate { per_second, burst }
}

/// What stands between commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Security {
        of(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn nobody_is_trusted_unless_said() {
        let usual = with("", "");
        assert_eq!(usual.gateways, Forwarded::default());
        assert!(usual.nodes.is_empty() && usual.authenticate && usual.check_identity);
        assert_eq!((usual.audiences, usual.ask), (vec!["istio-ca".to_owned()], Ask::Unproven));
        // An entry that is no network trusts nobody, rather than the others only.
        assert_eq!(with("TRUSTED_GATEWAY_CIDR", "10.0.0.0/8,10.0.0.1").gateways, Forwarded::default());
        assert_eq!(with("TOKEN_AUDIENCES", " , ").audiences, ["istio-ca"]);
        assert!(with("CA_TRUSTED_NODE_ACCOUNTS", "ztunnel").nodes.is_empty());
    }

    #[test]
    fn pages_are_for_the_namespaces_that_are_named() {
        let with = |name: &'static str, value: &'static str| {
            let pages = pages_of(|asked| (asked == name).then(|| value.to_owned()));
            (pages.pages, pages.by_namespace, pages.allowed.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(with("", ""), (true, true, Vec::new()));
        assert!(!with("ENABLE_DEBUG_ON_HTTP", "false").0);
        assert!(!with("ENABLE_DEBUG_ENDPOINT_AUTH", "false").1);
        let allowed = with("DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES", "kiali, monitoring,");
        assert_eq!(allowed.2, ["kiali", "monitoring"]);
    }

    #[test]
    fn rules_and_rates_are_read() {
        let rule =
            with("JWT_RULE", r#"{"issuer": "https://a", "jwks_uri": "https://a/k", "audiences": ["x"]}"#);
        assert_eq!(rule.issuer.unwrap().issuer, "https://a");
        assert_eq!(with("JWT_RULE", "https://a").issuer, None);
        assert_eq!(with("", "").rate, Rate::default());
        assert_eq!(with("PILOTHOUSE_CSR_RATE_PER_SOURCE", "10").rate, Rate { per_second: 10.0, burst: 40.0 });
        assert_eq!(with("PILOTHOUSE_CSR_RATE_PER_SOURCE", "-1").rate, Rate::default());
    }

    #[test]
    fn lists_have_commas() {
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        assert_eq!(with("TRUSTED_GATEWAY_CIDR", "10.0.0.0/8, fd00::/8").gateways, Forwarded::new(networks));
        assert_eq!(with("TOKEN_AUDIENCES", "a,b").audiences, ["a", "b"]);
        let nodes = vec![("istio-system".to_owned(), "ztunnel".to_owned())];
        assert_eq!(with("CA_TRUSTED_NODE_ACCOUNTS", "istio-system/ztunnel").nodes, nodes);
        assert_eq!(with("PILOTHOUSE_TOKEN_REVIEW", "always").ask, Ask::Always);
    }
}
