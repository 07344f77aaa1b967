//! Tokens of an OpenID Connect issuer that the operator names (`JWT_RULE`), about service accounts.
//!
//! Source: `shared/spec/security.md` 2.3; OpenID Connect Discovery 4.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::mesh::JwksSource;
use serde::Deserialize;
use sources::jwks::Fetcher;

use crate::token::{FetchKeys, Keys, LONGEST, Published, Unverified};
use crate::{Caller, Credentials, Domains, Means, Refused, Settings};

/// How long keys may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rule {
    /// How tokens name their issuer.
    pub issuer: String,
    /// Where its keys are; found by discovery if empty.
    #[serde(default, alias = "jwksUri")]
    pub jwks_uri: String,
    /// A token must be for one of these.
    #[serde(default)]
    pub audiences: Vec<String>,
}

impl Rule {
    /// Reads `JWT_RULE`.
    ///
    /// # Errors
    /// It is no JSON of that form, or says too little: without an issuer and audiences tokens for others would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match (rule.issuer.is_empty(), rule.audiences.is_empty()) {
            (true, _) => Err("issuer is missing".to_owned()),
            (_, true) => Err("audiences are missing: no token would be good".to_owned()),
            _ => Ok(rule),
        }
    }
}

/// Judges tokens of one issuer.
pub struct OidcTokens {
    rule: Rule,
    keys: Keys,
    settings: Settings,
}

/// The keys of the issuer of a rule, fetched.
struct FromIssuer {
    source: JwksSource,
    fetcher: Arc<Fetcher>,
}

impl FetchKeys for FromIssuer {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        let (source, fetcher) = (self.source.clone(), Arc::clone(&self.fetcher));
        async move {
            let keys = fetcher.fetch(&source, PATIENCE).await?;
            Ok(Published { issuer: source.issuer.to_string(), keys: keys.to_string() })
        }
        .boxed()
    }
}

impl OidcTokens {
    /// By this rule; keys are fetched when the first token comes.
    pub fn new(rule: Rule, fetcher: Fetcher, settings: Settings) -> Self {
        let source = JwksSource { issuer: rule.issuer.as_str().into(), uri: rule.jwks_uri.as_str().into() };
        Self::with(rule, FromIssuer { source, fetcher: Arc::new(fetcher) }, settings)
    }

    fn with(rule: Rule, keys: impl FetchKeys + 'static, settings: Settings) -> Self {
        Self { rule, keys: Keys::new(Box::new(keys)), settings }
    }

    /// Who has these tokens; none if none of them is of this issuer.
    pub(crate) async fn authenticate(
        &self,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Option<Result<Caller, Refused>> {
        let mut refused = None;
        for token in &credentials.tokens {
            match self.caller(token, now).await {
                Ok(caller) => return Some(Ok(caller)),
                Err(reason) => {
                    refused = Some(Refused::new(format!("token of {:?}: {reason}", self.rule.issuer)))
                }
            }
        }
        refused.map(Err)
    }

    async fn caller(&self, token: &str, now: SystemTime) -> Result<Caller, String> {
        if token.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        // Of other issuers there are many: their keys are not asked for here.
        if crate::token::issuer(token).is_none_or(|issuer| issuer != self.rule.issuer) {
            return Err("it is of another issuer".to_owned());
        }
        let verified = self.keys.verify(token).await;
        let (claims, _) =
            verified.map_err(|(Unverified::False(reason) | Unverified::Unknown(reason))| reason)?;
        claims.check(&self.rule.issuer, &self.rule.audiences, now)?;
        let (namespace, account) = claims.account()?;
        let domains = Domains::now(&self.settings).map_err(|refused| refused.to_string())?;
        let identity =
            ca::SpiffeId::new(&domains.own, namespace, account).map_err(|error| error.to_string())?;
        Ok(Caller { identity, means: Means::Token, pod: None })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ISSUER, Issuer, Scripted, claims, forged, now, settings};

    #[test]
    fn rules_say_enough_or_nothing() {
        let rule =
            Rule::parse(r#"{"issuer": "https://a", "jwks_uri": "https://a/keys", "audiences": ["x"]}"#);
        assert_eq!(rule.unwrap().jwks_uri, "https://a/keys");
        assert!(Rule::parse(r#"{"issuer": "https://a", "jwksUri": "u", "audiences": ["x"]}"#).is_ok());
        for wrong in ["", "[]", r#"{"audiences": ["x"]}"#, r#"{"issuer": "https://a"}"#, r#"{"issuer": 1}"#] {
            assert!(Rule::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn tokens_of_the_issuer_for_the_audience_about_service_accounts() {
        for issuer in [Issuer::new("one"), Issuer::rsa("two")] {
            let rule =
                Rule { issuer: ISSUER.to_owned(), jwks_uri: String::new(), audiences: vec!["ci".to_owned()] };
            let tokens = OidcTokens::with(rule, Scripted::of(&[&issuer]), settings());
            let ask = async |token: String| {
                let credentials = Credentials { tokens: vec![token], ..Credentials::default() };
                let answer = tokens.authenticate(&credentials, now()).await.unwrap();
                answer.map(|caller| caller.identity.to_string()).map_err(|refused| refused.to_string())
            };
            let with = |changed: serde_json::Value| {
                let mut all = claims("shop", "web", now());
                all["aud"] = json!(["ci"]);
                for (key, value) in changed.as_object().unwrap() {
                    all[key] = value.clone();
                }
                issuer.sign(&all)
            };
            let good = with(json!({}));
            assert_eq!(ask(good.clone()).await, Ok("spiffe://cluster.local/ns/shop/sa/web".to_owned()));
            for (bad, reason) in [
                (json!({"aud": ["istio-ca"]}), "audiences"),
                (json!({"iss": "https://other"}), "another issuer"),
                (json!({"sub": "web"}), "no service account"),
                (json!({"exp": 1}), "expired"),
            ] {
                let refused = ask(with(bad)).await.unwrap_err();
                assert!(refused.contains(reason), "{refused}");
            }
            for (what, bad) in forged(&issuer, &good) {
                assert!(ask(bad).await.is_err(), "{what}");
            }
        }
    }
}
