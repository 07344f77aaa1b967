//! A workload's identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A SPIFFE id of a Kubernetes workload, with parts that were checked
/// (spec security.md 1.6; SPIFFE-ID 2.1, 2.2).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpiffeId {
    trust_domain: String,
    namespace: String,
    service_account: String,
}

impl SpiffeId {
    /// Checks the three parts and joins them.
    ///
    /// `@` in the trust domain becomes `.`, as in the reference.
    ///
    /// # Errors
    /// [`Error::Refused`] naming the part that is empty or has a character that a SPIFFE id cannot hold.
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, Error> {
        let trust_domain = trust_domain.replace('@', ".");
        check("trust domain", &trust_domain, |c| c.is_ascii_lowercase() || c.is_ascii_digit())?;
        check("namespace", namespace, |c| c.is_ascii_alphanumeric())?;
        check("service account", service_account, |c| c.is_ascii_alphanumeric())?;
        Ok(Self {
            trust_domain,
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        })
    }

    /// The trust domain, `cluster.local` by default in a mesh.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The Kubernetes namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Kubernetes service account.
    #[must_use]
    pub fn service_account(&self) -> &str {
        &self.service_account
    }
}

impl FromStr for SpiffeId {
    type Err = Error;

    /// Reads `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, nothing more and nothing less.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.strip_prefix("spiffe://").unwrap_or_default().split('/').collect();
        match parts.as_slice() {
            [domain, "ns", namespace, "sa", account] if !domain.contains('@') => {
                Self::new(domain, namespace, account)
            }
            _ => Err(Error::refused("identity", "has not the form spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT")),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

fn check(field: &'static str, value: &str, letter: impl Fn(char) -> bool) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::refused(field, "is empty"));
    }
    // A path segment of dots only would let a URI parser walk up the path.
    if value.chars().all(|c| c == '.') {
        return Err(Error::refused(field, format!("{value:?} consists of dots only")));
    }
    match value.chars().find(|&c| !letter(c) && !matches!(c, '.' | '-' | '_')) {
        None => Ok(()),
        Some(c) => Err(Error::refused(
            field,
            format!("{value:?} has the character {c:?}, which a SPIFFE id cannot hold"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_the_parts() {
        let id = SpiffeId::new("cluster.local", "shop", "web").unwrap();
        assert_eq!(id.to_string(), "spiffe://cluster.local/ns/shop/sa/web");
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = "spiffe://cluster.local/ns/shop/sa/web";
        assert_eq!(text.parse::<SpiffeId>().unwrap().to_string(), text);
        for bad in [
            "",
            "spiffe://",
            "cluster.local/ns/shop/sa/web",
            "spiffe://cluster.local/ns/shop/sa/web/",
            "spiffe://cluster.local/ns/shop/sa/web/x",
            "spiffe://cluster.local/ns/shop/sa/",
            "spiffe://cluster.local/sa/shop/ns/web",
            "spiffe://cluster.local/ns/../sa/web",
            "spiffe://a@b/ns/shop/sa/web",
            "SPIFFE://cluster.local/ns/shop/sa/web",
            "spiffe://cluster.local/ns/shop/sa/web?x",
            "spiffe://cluster.local/ns/sh%6fp/sa/web",
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn at_sign_of_the_trust_domain_becomes_a_dot() {
        assert_eq!(SpiffeId::new("a@b.iam", "n", "s").unwrap().trust_domain(), "a.b.iam");
    }

    #[test]
    fn refuses_what_would_change_the_path() {
        for (td, ns, sa, field) in [
            ("", "n", "s", "trust domain"),
            ("TD", "n", "s", "trust domain"),
            ("t", "n/x", "s", "namespace"),
            ("t", "..", "s", "namespace"),
            ("t", "n", "", "service account"),
            ("t", "n", "s?x", "service account"),
        ] {
            let error = SpiffeId::new(td, ns, sa).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
