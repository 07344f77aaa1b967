//! What a SPIFFE bundle endpoint answers: a JSON Web Key Set, of which the keys of X.509 authorities count.
//!
//! Source: SPIFFE Trust Domain and Bundle 4; Istio `pkg/spiffe/spiffe.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The use of keys that sign certificates; there are others for tokens.
const AUTHORITY: &str = "x509-svid";

#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "use", default)]
    usage: String,
    #[serde(default)]
    x5c: Vec<String>,
}

/// The certificates of the authorities in a bundle, DER, in its order.
///
/// # Errors
/// It is no key set, an authority has not exactly one certificate, or there is none.
pub(super) fn read(body: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let document: Document =
        serde_json::from_slice(body).map_err(|_| "the answer is no JSON Web Key Set".to_owned())?;
    let authorities = document.keys.iter().enumerate().filter(|(_, key)| key.usage == AUTHORITY);
    let certificates: Vec<Vec<u8>> = authorities
        .map(|(at, key)| match key.x5c.as_slice() {
            [one] => STANDARD.decode(one).map_err(|_| format!("keys[{at}].x5c[0]: is not base64")),
            several => {
                Err(format!("keys[{at}].x5c: has {} certificates where one is expected", several.len()))
            }
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(format!("no key in it is for {AUTHORITY:?}"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_count_and_keys_for_tokens_do_not() {
        let body = br#"{"spiffe_sequence":1,"keys":[{"use":"jwt-svid","kid":"a"},{"use":"x509-svid","kty":"EC","x5c":["AQID"]},
            {"kty":"RSA"},{"use":"x509-svid","x5c":["BA=="]}]}"#;
        assert_eq!(read(body), Ok(vec![vec![1, 2, 3], vec![4]]));
    }

    #[test]
    fn what_is_no_bundle_is_told() {
        for (body, words) in [
            ("<html>", "no JSON Web Key Set"),
            ("{}", "no JSON Web Key Set"),
            (r#"{"keys":[{"use":"jwt-svid"}]}"#, "no key in it"),
            (r#"{"keys":[{"use":"jwt-svid"},{"use":"x509-svid"}]}"#, "keys[1].x5c: has 0"),
            (r#"{"keys":[{"use":"x509-svid","x5c":["AQID","AQID"]}]}"#, "keys[0].x5c: has 2"),
            (r#"{"keys":[{"use":"x509-svid","x5c":["%"]}]}"#, "is not base64"),
        ] {
            let problem = read(body.as_bytes()).expect_err(words);
            assert!(problem.contains(words), "{words}: {problem}");
        }
    }
}
