//! Key sets as they are passed on: the public part of the keys and nothing else that an answer holds, in one order.
//!
//! What stands in a proxy's configuration can be read there. An answer that is passed on as it comes would show whatever
//! address somebody makes the control plane read. Source: RFC 7517, RFC 7518 6.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Members of public keys.
const PUBLIC: [&str; 15] = [
    "kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "n", "e", "crv", "x", "y", "pub",
];

/// The public keys of a JSON Web Key Set, sorted: equal sets are equal texts, whatever their order.
///
/// # Errors
/// It is no JSON, or has no list of keys, or no key in it is public.
pub(super) fn read(body: &[u8]) -> Result<Arc<str>, String> {
    let set: Value = serde_json::from_slice(body).map_err(|_| "the answer is no JSON".to_owned())?;
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return Err("the answer is no key set: it has no list \"keys\"".to_owned());
    };
    let mut keys: Vec<Map<String, Value>> = keys.iter().filter_map(public).collect();
    if keys.is_empty() {
        return Err("the answer has no public key".to_owned());
    }
    keys.sort_by_cached_key(|key| {
        let kid = key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
        (kid, Value::Object(key.clone()).to_string())
    });
    Ok(Arc::from(serde_json::json!({ "keys": keys }).to_string()))
}

/// The public part of an RSA, EC or OKP key; others have none.
fn public(key: &Value) -> Option<Map<String, Value>> {
    let key = key.as_object()?;
    let kind = key.get("kty")?.as_str()?;
    let known = matches!(kind, "RSA" | "EC" | "OKP");
    let members = || key.iter().filter(|(name, _)| PUBLIC.contains(&name.as_str()));
    known.then(|| members().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Where the keys are, by the issuer's OpenID configuration.
///
/// # Errors
/// It is no JSON, or does not say it.
pub(super) fn discovered(body: &[u8]) -> Result<String, String> {
    let document: Value =
        serde_json::from_slice(body).map_err(|_| "the OpenID configuration is no JSON".to_owned())?;
    let uri = document.get("jwks_uri").and_then(Value::as_str).filter(|uri| !uri.is_empty());
    uri.map(str::to_owned).ok_or_else(|| "the OpenID configuration has no \"jwks_uri\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_private_parts_and_all_else_are_left_out() {
        let a = br#"{"secret":"s","keys":[{"kty":"RSA","kid":"b","n":"1","e":"AQAB","d":"private"},{"kid":"a","kty":"EC","x":"2","y":"3"}]}"#;
        let b = br#"{"keys":[{"y":"3","x":"2","kty":"EC","kid":"a"},{"kid":"b","kty":"RSA","e":"AQAB","n":"1"}]}"#;
        let read_a = read(a).expect("keys");
        assert_eq!(read_a, read(b).expect("keys"));
        assert!(!read_a.contains("private") && !read_a.contains("secret"), "{read_a}");
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for bad in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"keys":{}}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"x"}]}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(discovered(br#"{"jwks_uri":"https://a/b"}"#).as_deref(), Ok("https://a/b"));
        assert!(discovered(br#"{"jwks_uri":""}"#).is_err() && discovered(b"no").is_err());
    }
}
