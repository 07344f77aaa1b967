//! Rules of PeerAuthentication, RequestAuthentication and ProxyConfig.

use api::istio::{JwtRule, PeerAuthentication, ProxyConfig, RequestAuthentication};

use super::check::Check;
use super::selector;
use super::text::{header_name, not_negative, port, time};

pub(super) fn peer_authentication(check: &mut Check, policy: &PeerAuthentication) {
    selector::match_labels(check, policy.selector.as_ref());
    let selects = policy.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
    if !policy.port_level_mtls.is_empty() && !selects {
        let hint = "add a selector, or leave portLevelMtls out";
        check.error("portLevelMtls", "modes of single ports need workloads to which the ports belong", hint);
    }
    for number in policy.port_level_mtls.keys() {
        port(check, &format!("portLevelMtls[{number}]"), *number);
    }
}

pub(super) fn request_authentication(check: &mut Check, policy: &RequestAuthentication) {
    selector::match_labels(check, policy.selector.as_ref());
    selector::targets(check, policy.selector.is_some(), policy.target_ref.as_ref(), &policy.target_refs);
    check.each("jwtRules", &policy.jwt_rules, jwt);
}

fn jwt(check: &mut Check, rule: &JwtRule) {
    if rule.issuer.is_empty() && rule.jwks_uri.is_empty() {
        check.error(
            "issuer",
            "nothing says whose tokens these are",
            "name the issuer, or the address of its keys",
        );
    }
    check.each("audiences", &rule.audiences, |check, audience| {
        if audience.is_empty() {
            check.error("", "the audience is empty", "name an audience");
        }
    });
    let (scheme, rest) = rule.jwks_uri.split_once("://").unwrap_or_default();
    if !rule.jwks_uri.is_empty()
        && (!matches!(scheme, "http" | "https") || rest.is_empty() || rest.starts_with('/'))
    {
        check.error(
            "jwksUri",
            format!("{:?} is no address of keys", rule.jwks_uri),
            "write https://HOST/PATH",
        );
    }
    if !rule.jwks.is_empty() {
        keys(check, &rule.jwks);
    }
    check.each("fromHeaders", &rule.from_headers, |check, header| header_name(check, "name", &header.name));
    for (field, names) in [("fromParams", &rule.from_params), ("fromCookies", &rule.from_cookies)] {
        check.each(field, names, |check, name| {
            if name.is_empty() {
                check.error("", "the name is empty", "name what carries the token");
            }
        });
    }
    check.each("outputClaimToHeaders", &rule.output_claim_to_headers, |check, copy| {
        header_name(check, "header", &copy.header);
        if copy.claim.is_empty() {
            check.error("claim", "the claim is missing", "name the claim that goes into the header");
        }
    });
    time(check, "timeout", rule.timeout);
}

/// Keys as JSON Web Key Set (RFC 7517).
fn keys(check: &mut Check, text: &str) {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(text);
    let Some(keys) = parsed.ok().and_then(|set| set.get("keys")?.as_array().cloned()) else {
        let hint = "write a JSON Web Key Set: {\"keys\": [...]}";
        check.error("jwks", "the keys cannot be read", hint);
        return;
    };
    if keys.iter().any(|key| key.get("kty").is_none()) {
        check.error("jwks", "a key does not say its type", "give each key its kty");
    } else if let Some(number) = keys.iter().position(|key| !whole_key(key)) {
        let message =
            format!("key {number} is none: its type is unknown, or a member is missing or not base64url");
        check.error("jwks", message, "copy the key as its issuer publishes it");
    }
    if keys.iter().any(|key| key.get("d").is_some()) {
        check.warning(
            "jwks",
            "a private key is among the keys, for every proxy to read",
            "keep the public part only",
        );
    }
}

/// Whether a key has what its type needs (RFC 7518 6, RFC 8037 2).
fn whole_key(key: &serde_json::Value) -> bool {
    let text = |name: &str| key.get(name).and_then(serde_json::Value::as_str);
    let binary: &[&str] = match text("kty") {
        Some("RSA") => &["n", "e"],
        Some("EC") => &["x", "y"],
        Some("OKP") => &["x"],
        Some("oct") => &["k"],
        _ => return false,
    };
    binary.iter().all(|name| text(name).is_some_and(is_base64url))
}

/// Whether a text is base64url without padding (RFC 7515 2), or with it, of one byte at least.
fn is_base64url(text: &str) -> bool {
    let text = text.trim_end_matches('=');
    let sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !text.is_empty() && text.len() % 4 != 1 && text.bytes().all(sign)
}

pub(super) fn proxy_config(check: &mut Check, config: &ProxyConfig) {
    selector::match_labels(check, config.selector.as_ref());
    not_negative(check, "concurrency", config.concurrency.unwrap_or_default());
}
