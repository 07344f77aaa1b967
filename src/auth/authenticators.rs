//! Who asks: each authenticator in turn, the first answer counts.
//!
//! Source: `shared/spec/security.md` 2.3, trap 14.

use std::time::SystemTime;

use crate::kubernetes::KubernetesTokens;
use crate::oidc::OidcTokens;
use crate::{Caller, Credentials, Forwarded, Refused, Settings, certificate};

/// All that can tell who asks.
pub struct Authenticators {
    settings: Settings,
    oidc: Option<OidcTokens>,
    tokens: Option<KubernetesTokens>,
    forwarded: Forwarded,
}

impl Authenticators {
    /// Client certificates count always; tokens and what gateways forward as said.
    pub fn new(settings: Settings, tokens: Option<KubernetesTokens>, forwarded: Forwarded) -> Self {
        Self { settings, oidc: None, tokens, forwarded }
    }

    /// Takes tokens of an issuer that the operator names, before those of Kubernetes.
    #[must_use]
    pub fn beside(self, oidc: Option<OidcTokens>) -> Self {
        Self { oidc, ..self }
    }

    /// Who has these credentials, at `now`.
    ///
    /// # Errors
    /// Nobody who is known; for the log, not for the client.
    pub async fn authenticate(&self, credentials: &Credentials, now: SystemTime) -> Result<Caller, Refused> {
        let mut reasons = Vec::new();
        let mut counts = |answer: Option<Result<Caller, Refused>>| match answer? {
            Ok(caller) => Some(caller),
            Err(reason) => {
                reasons.push(reason.to_string());
                None
            }
        };
        if let Some(caller) = counts(certificate::authenticate(credentials, &self.settings)) {
            return Ok(caller);
        }
        if let Some(oidc) = &self.oidc
            && let Some(caller) = counts(oidc.authenticate(credentials, now).await)
        {
            return Ok(caller);
        }
        if let Some(tokens) = &self.tokens
            && let Some(caller) = counts(tokens.authenticate(credentials, now).await)
        {
            return Ok(caller);
        }
        if let Some(caller) = counts(self.forwarded.authenticate(credentials, &self.settings)) {
            return Ok(caller);
        }
        Err(Refused::new(if reasons.is_empty() {
            "there is no client certificate and no token".to_owned()
        } else {
            reasons.join("; ")
        }))
    }
}
