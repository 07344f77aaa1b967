//! Secrets and ConfigMaps that proxies are sent, and who may have them.
//!
//! Source: Istio `pilot/pkg/xds/sds.go`; `shared/spec/security.md` 4.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Mesh;
use crate::content::Ref;
use crate::credential::{Credential, Flaw, KeyPair, Roots};

/// Ends the names of roots of trust.
pub const CA_SUFFIX: &str = "-cacert";

/// The Secrets of one namespace, by name.
pub type SecretsOf = BTreeMap<Arc<str>, Ref<Credential>>;

/// Whether a service account may list the Secrets of its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nobody has said so yet, or somebody denied it: it gets no private keys.
    Denied,
    /// It may: it gets what is in its namespace.
    Granted,
}

/// A service account of a cluster, for whose proxies secrets are asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// The cluster as its proxies name it; empty stands for the home cluster.
    pub cluster: Arc<str>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        if self.cluster.is_empty() { Ok(()) } else { write!(f, " of {}", self.cluster) }
    }
}

/// What proxies are sent, and who asked for it.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Secrets of the home cluster by namespace.
    pub home: BTreeMap<Arc<str>, Arc<SecretsOf>>,
    /// Those of other clusters, by cluster.
    pub remotes: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<SecretsOf>>>,
    /// Roots of trust in ConfigMaps of the home cluster, by namespace and name.
    pub config_maps: Arc<BTreeMap<(Arc<str>, Arc<str>), Ref<Roots>>>,
    /// Who asked for secrets; proxies of others have none.
    pub accounts: Arc<BTreeMap<Account, Access>>,
}

impl Credentials {
    /// Whether both hold the same of the home cluster, whoever may have it, without a look at it.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config_maps, &other.config_maps)
            && self.home.len() == other.home.len()
            && self.home.iter().zip(&other.home).all(|((a, x), (b, y))| a == b && Arc::ptr_eq(x, y))
    }

    /// The Secrets of a namespace of the home cluster.
    pub fn of_home(&self, namespace: &str) -> Option<&Arc<SecretsOf>> {
        self.home.get(namespace)
    }

    /// The Secrets that a proxy of a cluster may see of a namespace: those of that cluster, then those of the home
    /// cluster.
    pub fn seen<'a>(&'a self, cluster: &str, namespace: &str) -> Seen<'a> {
        let remote = self.remotes.get(cluster).and_then(|secrets| secrets.get(namespace));
        Seen([remote, self.of_home(namespace)])
    }
}

impl Mesh {
    /// Whether an account asked for secrets, and what it may have. None if it has not asked.
    pub fn access(&self, account: &Account) -> Option<Access> {
        self.credentials.accounts.get(account).copied()
    }
}

/// The Secrets of a namespace in the clusters where they are looked for, in that order.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a>([Option<&'a Arc<SecretsOf>>; 2]);

impl<'a> Seen<'a> {
    /// Only those of the home cluster.
    pub fn at_home(credentials: &'a Credentials, namespace: &str) -> Self {
        Self([None, credentials.of_home(namespace)])
    }

    /// Whether both look at the same Secrets, without a look at them.
    pub fn is_same(&self, other: &Seen<'_>) -> bool {
        let same = |a: Option<&Arc<SecretsOf>>, b: Option<&Arc<SecretsOf>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        self.0.iter().zip(other.0).all(|(a, b)| same(*a, b))
    }

    /// The names of all Secrets; a name may come twice.
    pub fn names(&self) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.0.into_iter().flatten().flat_map(|secrets| secrets.keys())
    }

    /// The certificate and key of a Secret, from the first cluster where it has them.
    ///
    /// # Errors
    /// No Secret of the name has any; none inside if there is no Secret of the name.
    pub fn pair(&self, name: &str) -> Result<&'a Ref<KeyPair>, Option<&'a Flaw>> {
        self.first(|secrets| secrets.get(name).map(|secret| secret.pair.as_ref()))
    }

    /// The roots of trust by the name of the resource that is asked for, which ends in [`CA_SUFFIX`]: those of a Secret of
    /// that name if there is one, else those of the Secret of the name without its end.
    ///
    /// # Errors
    /// As [`Seen::pair`].
    pub fn roots(&self, name: &str) -> Result<&'a Ref<Roots>, Option<&'a Flaw>> {
        let bare = name.strip_suffix(CA_SUFFIX).unwrap_or(name);
        self.first(|secrets| {
            secrets.get(name).or_else(|| secrets.get(bare)).map(|secret| secret.roots.as_ref())
        })
    }

    fn first<T: 'a>(
        &self,
        find: impl Fn(&'a SecretsOf) -> Option<Result<&'a T, &'a Flaw>>,
    ) -> Result<&'a T, Option<&'a Flaw>> {
        let mut flaw = None;
        for secrets in self.0.into_iter().flatten() {
            match find(secrets) {
                Some(Ok(found)) => return Ok(found),
                Some(Err(found)) => flaw = flaw.or(Some(found)),
                None => {}
            }
        }
        Err(flaw)
    }
}
