//! Keys that an issuer publishes: fetched when they are needed, kept, and fetched again for a key that is not among them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{Claims, LONGEST};

/// Least time between two questions: whoever sends tokens with unknown keys must not make us ask for each.
const PAUSE: Duration = Duration::from_secs(10);

/// Keys are asked for again after this, so that one that was withdrawn is forgotten.
const FRESH: Duration = Duration::from_secs(300);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// An issuer and the keys that it signs with.
pub struct Published {
    /// How tokens name it (`iss`).
    pub issuer: String,
    /// Its keys, as a JSON Web Key Set (RFC 7517).
    pub keys: String,
}

/// Asks for what an issuer publishes.
pub trait FetchKeys: Send + Sync {
    /// What it publishes now; or what went wrong, in words for the log.
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>>;
}

/// Why a token was not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// It is false, or not for us.
    False(String),
    /// That cannot be told here.
    Unknown(String),
}

/// The keys of one issuer.
pub(crate) struct Keys {
    fetch: Box<dyn FetchKeys>,
    known: ArcSwapOption<Set>,
    /// When they were last asked for; held while they are.
    asked: Mutex<Option<Instant>>,
}

struct Set {
    issuer: String,
    keys: HashMap<String, Key>,
    since: Instant,
}

struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Keys {
    pub(crate) fn new(fetch: Box<dyn FetchKeys>) -> Self {
        Self { fetch, known: ArcSwapOption::empty(), asked: Mutex::new(None) }
    }

    /// The claims of a token that this issuer signed, and the issuer's name. The claims themselves are not looked at.
    pub(crate) async fn verify(&self, token: &str) -> Result<(Claims, String), Unverified> {
        if token.len() > LONGEST {
            return Err(Unverified::False(format!("it is longer than {LONGEST} bytes")));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| false_token(&error))?;
        let kid = header.kid.ok_or_else(|| Unverified::Unknown("it names no key".to_owned()))?;
        let set = self.with(&kid).await?;
        let unknown = || Unverified::Unknown("its key is not among those that are published".to_owned());
        let key = set.keys.get(&kid).ok_or_else(unknown)?;
        if key.algorithm != header.alg {
            return Err(Unverified::False(format!(
                "it is signed by {:?}, its key is for another",
                header.alg
            )));
        }
        let mut validation = Validation::new(key.algorithm);
        // Claims are held against our own clock and settings.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.key, &validation);
        let claims = decoded.map_err(|error| false_token(&error))?.claims;
        Ok((claims, set.issuer.clone()))
    }

    /// The keys, fetched again if this one is not among them or if they are old, but not too often.
    async fn with(&self, kid: &str) -> Result<Arc<Set>, Unverified> {
        let enough = |set: &Set| set.keys.contains_key(kid) && set.since.elapsed() < FRESH;
        if let Some(set) = self.known.load_full().filter(|set| enough(set)) {
            return Ok(set);
        }
        let old = self.known.load_full().filter(|set| set.keys.contains_key(kid));
        let mut asked = match (old, self.asked.try_lock()) {
            (_, Ok(asked)) => asked,
            // Somebody asks; what is old will do until there is an answer.
            (Some(old), Err(_)) => return Ok(old),
            (None, Err(_)) => self.asked.lock().await,
        };
        // Somebody else may have asked while this one waited.
        if let Some(set) = self.known.load_full().filter(|set| enough(set)) {
            return Ok(set);
        }
        if asked.is_none_or(|last| last.elapsed() >= PAUSE) {
            let answer = timeout(PATIENCE, self.fetch.fetch()).await;
            let answer = answer.unwrap_or_else(|_| Err("there is no answer".to_owned()));
            match answer.and_then(|published| Set::of(&published)) {
                Ok(set) => self.known.store(Some(Arc::new(set))),
                Err(error) => {
                    tracing::warn!(error, "keys of tokens cannot be read; those that are known stay")
                }
            }
            *asked = Some(Instant::now());
        }
        let none = || Unverified::Unknown("the keys of its issuer are not known".to_owned());
        self.known.load_full().ok_or_else(none)
    }
}

impl Set {
    /// The keys that can verify tokens; others are left out.
    fn of(published: &Published) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_str(&published.keys).map_err(|error| error.to_string())?;
        let keys =
            set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone()?, Key::of(jwk)?))).collect();
        Ok(Self { issuer: published.issuer.clone(), keys, since: Instant::now() })
    }
}

impl Key {
    /// The kind of a key decides by which algorithm it signs: a token's own word for it is never taken, or a public key
    /// would do as the secret of HS256.
    fn of(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => {
                Algorithm::ES384
            }
            _ => return None,
        };
        Some(Self { algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}

fn false_token(error: &jsonwebtoken::errors::Error) -> Unverified {
    Unverified::False(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Issuer, Scripted, forged, now, token_for};

    async fn verify(keys: &Keys, token: &str) -> Result<String, Unverified> {
        keys.verify(token).await.map(|(claims, _)| claims.account().unwrap().1.to_owned())
    }

    #[tokio::test]
    async fn what_the_issuer_signed_and_nothing_else() {
        let issuer = Issuer::new("one");
        let keys = Keys::new(Box::new(Scripted::of(&[&issuer])));
        let good = token_for(&issuer, "shop", "web", now());
        assert_eq!(verify(&keys, &good).await, Ok("web".to_owned()));
        for (what, bad) in forged(&issuer, &good) {
            let answer = verify(&keys, &bad).await;
            assert!(matches!(answer, Err(Unverified::False(_))), "{what}: {answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_asked_for_but_not_too_often() {
        let (one, two) = (Issuer::new("one"), Issuer::new("two"));
        let scripted = Scripted::of(&[&one]);
        let (asked, published) = (scripted.asked.clone(), scripted.published.clone());
        let keys = Keys::new(Box::new(scripted));
        let [first, second] = [&one, &two].map(|issuer| token_for(issuer, "shop", "web", now()));
        assert!(verify(&keys, &first).await.is_ok());
        for _ in 0..100 {
            assert!(matches!(verify(&keys, &second).await, Err(Unverified::Unknown(_))));
        }
        let count = || asked.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(count(), 1, "the pause");
        published.lock().unwrap().push(two.jwk());
        tokio::time::advance(PAUSE).await;
        assert!(verify(&keys, &second).await.is_ok());
        assert_eq!(count(), 2);
        // What is withdrawn is forgotten.
        published.lock().unwrap().remove(0);
        tokio::time::advance(FRESH).await;
        assert!(matches!(verify(&keys, &first).await, Err(Unverified::Unknown(_))));
        assert!(verify(&keys, &second).await.is_ok());
    }
}
