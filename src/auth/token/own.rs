//! Tokens of our own, for meshes without a cluster: signed by a key in the state folder, for as long as is asked.

use std::time::{Duration, SystemTime};

use ca::{PrivateKey, SpiffeId};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{FetchKeys, Published};
use crate::Refused;

/// How our own tokens name their issuer.
const ISSUER: &str = "https://pilothouse.invalid";

/// The trust domain does not matter for what a token may say.
const ANY: &str = "cluster.local";

/// Makes tokens that stand for those of service accounts.
pub struct OwnTokens {
    key: EncodingKey,
    kid: String,
    public: String,
}

impl OwnTokens {
    /// With this key, which must be of the curve P-256.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn new(key: &PrivateKey) -> Result<Self, Refused> {
        let refused = |error: &dyn std::fmt::Display| Refused::new(format!("the key of tokens: {error}"));
        let pem = key.expose_pem();
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|error| refused(&error))?;
        let key = EncodingKey::from_ec_der(&block.contents);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|error| refused(&error))?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|error| refused(&error))?;
        jwk.common.key_id = Some(kid.clone());
        let public = serde_json::to_string(&JwkSet { keys: vec![jwk] }).map_err(|error| refused(&error))?;
        Ok(Self { key, kid, public })
    }

    /// A token of a service account for `audience` that is good from `now` for `lifetime`.
    ///
    /// # Errors
    /// The names are none of a service account.
    pub fn sign(
        &self,
        (namespace, account): (&str, &str),
        audience: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, Refused> {
        SpiffeId::new(ANY, namespace, account).map_err(|error| Refused::new(error.to_string()))?;
        let made = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": [audience], "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "iat": made, "nbf": made, "exp": made.saturating_add(lifetime.as_secs()),
        });
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|error| Refused::new(error.to_string()))
    }
}

impl FetchKeys for OwnTokens {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        let published = Published { issuer: ISSUER.to_owned(), keys: self.public.clone() };
        std::future::ready(Ok(published)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::{KubernetesTokens, Rules};
    use crate::testing::{now, settings};
    use crate::{Credentials, Refused};

    async fn ask(
        signer: &OwnTokens,
        verifier: OwnTokens,
        audience: &str,
        later: u64,
    ) -> Result<String, Refused> {
        let token = signer.sign(("shop", "web"), audience, now(), Duration::from_secs(60))?;
        let rules = Rules { audiences: vec!["istio-ca".to_owned()], ..Rules::default() };
        let tokens = KubernetesTokens::of_our_own(rules, verifier, settings());
        let credentials = Credentials { tokens: vec![token], ..Credentials::default() };
        let answer = tokens.authenticate(&credentials, now() + Duration::from_secs(later)).await;
        answer.expect("a token").map(|caller| caller.identity.to_string())
    }

    #[tokio::test]
    async fn a_token_opens_the_door_of_its_own_mesh_for_its_time() {
        let key = PrivateKey::generate().unwrap();
        let [signer, other] =
            [&key, &PrivateKey::generate().unwrap()].map(|key| OwnTokens::new(key).unwrap());
        let own = || OwnTokens::new(&key).unwrap();
        let web = "spiffe://cluster.local/ns/shop/sa/web".to_owned();
        assert_eq!(ask(&signer, own(), "istio-ca", 59).await, Ok(web));
        assert!(ask(&signer, own(), "istio-ca", 60).await.is_err());
        assert!(ask(&signer, own(), "elsewhere", 0).await.is_err());
        assert!(ask(&signer, other, "istio-ca", 0).await.is_err());
        let lifetime = Duration::from_secs(60);
        for names in [("", "web"), ("shop", ""), ("shop:x", "web"), ("..", "web")] {
            assert!(signer.sign(names, "istio-ca", now(), lifetime).is_err(), "{names:?}");
        }
    }
}
