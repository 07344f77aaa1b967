//! Key sets: whether one can be used, and the one that no token fits.

/// A key that verifies nothing. An RSA key of 2048 bits was made, only its modulus was printed, and the rest, which never
/// was in a file, was gone with the process (`openssl genrsa 2048 | openssl rsa -noout -modulus`): nobody can sign what
/// it verifies.
pub(super) const NOBODY: &str = concat!(
    r#"{"keys":[{"kty":"RSA","use":"sig","e":"AQAB","kid":"nobody","n":""#,
    "78JTZT0wYMLvsiKYpZ-bvw8O470rOtSL4XiOPV2MV3XsHKbkhffjWrrxHF_-3ak5YIqrSyeLhOXF0zawoRfo-FOWNx",
    "a7d9ReSEYnn7zP0LMg60zw4P9_BJ3R9Rln4POaMrfuaHJK3hto_mLybKa5weS0wv36FEjGQzGEN7mJzC_op837J1Mw",
    "T0eCNObM3Id_9iIaiErMqxRuvlZZiNv376RUUrJGyQ2AOhUWN2TjJ6MqL8CRuFthAMSM1FXR9jGRS2wJUa6Xtlq7KB",
    "2-dp9jh_36gncuKbVaaa0uNOQyCCH1U-HaK-OofmEUaVlRpbXjB5b0ohOBk4mz7x8VZhjESw",
    r#""}]}"#,
);

/// What is to be said of a key set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Envoy can read it.
    Good,
    /// It is none, and why.
    Bad(String),
}

/// Whether a text is a JSON Web Key Set (RFC 7517 5) with at least one key.
pub(super) fn check(text: &str) -> Checked {
    let set: serde_json::Value = match serde_json::from_str(text) {
        Ok(set) => set,
        Err(error) => return Checked::Bad(format!("they are no JSON ({error})")),
    };
    match set.get("keys").and_then(|keys| keys.as_array()) {
        None => Checked::Bad("there is no list \"keys\"".to_owned()),
        Some(keys) if keys.is_empty() => Checked::Bad("the list \"keys\" is empty".to_owned()),
        Some(_) => Checked::Good,
    }
}
