//! Tokens (JWT) and the keys that verify them, for tests: ES256 with keys that are made when they are asked for.
//!
//! Sources: RFC 7515, RFC 7517, RFC 7518 3.4.

use anyhow::{Result, anyhow, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

/// One who issues tokens.
#[derive(Debug)]
pub struct Issuer {
    pair: EcdsaKeyPair,
}

impl Issuer {
    /// With a key of its own.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Ok(Self { pair: pair.map_err(|_| anyhow!("no key can be made"))? })
    }

    /// Its public key as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        // 4, then both coordinates.
        let point = self.pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "test", "x": x, "y": y}]})
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "test"});
        let said = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), said.as_bytes());
        let signature = signature.map_err(|_| anyhow!("the token cannot be signed"))?;
        Ok(format!("{said}.{}", BASE64.encode(signature)))
    }
}

/// A token that was read; nothing is verified yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// What it says.
    pub(crate) claims: Value,
    said: String,
    signature: Vec<u8>,
}

impl Token {
    /// Reads a token; none if it is not one of ES256.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (said, signature) = text.rsplit_once('.')?;
        let (header, claims) = said.split_once('.')?;
        let json = |part: &str| serde_json::from_slice::<Value>(&BASE64.decode(part).ok()?).ok();
        let known = json(header)?.get("alg")?.as_str()? == "ES256";
        let signature = BASE64.decode(signature).ok()?;
        known.then_some(Self { claims: json(claims)?, said: said.to_owned(), signature })
    }

    /// Whether a key of a set signed it. Keys of other kinds signed no token of ES256.
    ///
    /// # Errors
    /// It is no set.
    pub(crate) fn is_signed_by(&self, set: &str) -> Result<bool> {
        let set: Value = serde_json::from_str(set)?;
        let Some(keys) = set.get("keys").and_then(Value::as_array) else { bail!("no set of keys: {set}") };
        Ok(keys.iter().filter(|key| key.get("crv") == Some(&json!("P-256"))).any(|key| self.is_of(key)))
    }

    fn is_of(&self, key: &Value) -> bool {
        let part = |name: &str| BASE64.decode(key.get(name)?.as_str()?).ok();
        let (Some(x), Some(y)) = (part("x"), part("y")) else { return false };
        let point = [vec![4], x, y].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(self.said.as_bytes(), &self.signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_of_their_issuer_alone() -> Result<()> {
        let (issuer, other) = (Issuer::new()?, Issuer::new()?);
        let token = Token::read(&issuer.sign(&json!({"iss": "a"}))?).expect("a token");
        assert_eq!(token.claims, json!({"iss": "a"}));
        assert!(token.is_signed_by(&issuer.jwks().to_string())?);
        assert!(!token.is_signed_by(&other.jwks().to_string())?);
        assert_eq!(Token::read("a.b.c"), None);
        Ok(())
    }
}
