//! What a token claims: for whom it is, by whom, about whom, and when (RFC 7519 4.1; Kubernetes' `kubernetes.io`).

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::BoundPod;

/// How far another's clock may be ahead of ours. The end of a token is not stretched.
const SKEW: Duration = Duration::from_secs(60);

/// The beginning of a service account's subject.
const SUBJECT: &str = "system:serviceaccount:";

/// The claims of a token.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Audiences,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

/// For whom a token is: one, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Named,
    pod: Option<Named>,
    secret: Option<Named>,
    node: Option<Named>,
}

/// An object that a token is bound to.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: String,
    /// Its identity over its life.
    pub(crate) uid: String,
}

/// What a token of Kubernetes is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    pub(crate) namespace: String,
    pub(crate) account: Named,
    pub(crate) pod: Option<BoundPod>,
    /// Whether to a Secret, or to a node without a pod.
    pub(crate) elsewhere: bool,
}

impl Claims {
    /// Holds what every token must say against what is wanted.
    ///
    /// # Errors
    /// Which claim is wrong and how.
    pub(crate) fn check(&self, issuer: &str, audiences: &[String], now: SystemTime) -> Result<(), String> {
        if self.iss != issuer {
            return Err(format!("its issuer is {:?}, not {issuer:?}", self.iss));
        }
        let said = match &self.aud {
            Audiences::One(one) => std::slice::from_ref(one),
            Audiences::Many(many) => many.as_slice(),
        };
        if !said.iter().any(|audience| audiences.contains(audience)) {
            return Err(format!("its audiences are {said:?}, wanted is one of {audiences:?}"));
        }
        self.check_times(now)
    }

    fn check_times(&self, now: SystemTime) -> Result<(), String> {
        let now = seconds(now);
        let ahead = now + SKEW.as_secs_f64();
        if self.exp.is_nan() || self.exp <= now {
            return Err(format!("it expired {:.0} s ago", now - self.exp));
        }
        if self.nbf.is_some_and(|from| from > ahead) || self.iat.is_some_and(|made| made > ahead) {
            return Err("it is not valid yet; do the clocks differ?".to_owned());
        }
        Ok(())
    }

    /// Namespace and name of the service account that the token is about.
    ///
    /// # Errors
    /// It is about somebody else.
    pub(crate) fn account(&self) -> Result<(&str, &str), String> {
        account(&self.sub)
    }

    /// What it is bound to; none for a token that is bound to nothing.
    pub(crate) fn bound(&self) -> Option<Bound> {
        let bound = self.kubernetes.as_ref()?;
        let pod = bound.pod.as_ref().map(|pod| BoundPod { name: pod.name.clone(), uid: pod.uid.clone() });
        // With a pod, the node is what Kubernetes tells beside.
        let elsewhere = bound.secret.is_some() || pod.is_none() && bound.node.is_some();
        Some(Bound {
            namespace: bound.namespace.clone(),
            account: bound.serviceaccount.clone(),
            pod,
            elsewhere,
        })
    }

    /// When it ends.
    pub(crate) fn expiry(&self) -> SystemTime {
        let seconds = self.exp.clamp(0.0, f64::from(u32::MAX));
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }
}

/// Namespace and name of `system:serviceaccount:NAMESPACE:NAME`.
///
/// # Errors
/// The name is that of somebody else.
pub(crate) fn account(user: &str) -> Result<(&str, &str), String> {
    let parts = user.strip_prefix(SUBJECT).and_then(|rest| rest.split_once(':'));
    parts
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
        .ok_or_else(|| "it is about somebody who is no service account".to_owned())
}

/// Who a token says has issued it, which nobody has verified.
pub(crate) fn issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        iss: String,
    }
    jsonwebtoken::dangerous::insecure_decode::<Said>(token).ok().map(|said| said.claims.iss)
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn check(changed: &Value) -> Result<(), String> {
        let mut claims = json!({
            "iss": "https://k8s", "sub": "system:serviceaccount:shop:web", "aud": ["istio-ca"],
            "exp": NOW + 10, "nbf": NOW, "iat": NOW,
        });
        for (key, value) in changed.as_object().unwrap() {
            claims[key] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).map_err(|error| error.to_string())?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        claims.check("https://k8s", &["istio-ca".to_owned(), "other".to_owned()], now)?;
        claims.account().map(|_| ())
    }

    #[test]
    fn every_claim_must_hold() {
        for good in
            [json!({}), json!({"aud": "istio-ca"}), json!({"aud": ["x", "other"]}), json!({"iat": NOW + 59})]
        {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        for (bad, reason) in [
            (json!({"iss": "https://k8s/"}), "issuer"),
            (json!({"aud": []}), "audiences"),
            (json!({"aud": "istio-ca-2"}), "audiences"),
            (json!({"aud": null}), "did not match"),
            (json!({"exp": NOW}), "expired"),
            (json!({"exp": -1e300}), "expired"),
            (json!({"exp": "later"}), "invalid type"),
            (json!({"nbf": NOW + 61}), "not valid yet"),
            (json!({"iat": NOW + 61}), "not valid yet"),
            (json!({"sub": "system:serviceaccount:shop"}), "no service account"),
            (json!({"sub": "system:serviceaccount:shop:web:x"}), "no service account"),
            (json!({"sub": "system:serviceaccount::web"}), "no service account"),
            (json!({"sub": "system:node:a"}), "no service account"),
        ] {
            let refused = check(&bad).expect_err("a refusal");
            assert!(refused.contains(reason), "{bad}: {refused}");
        }
    }
}
