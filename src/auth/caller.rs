//! Who a client was found to be, and why one was not found to be anybody.

use std::fmt;

use api::mesh_config::MeshConfig;
use ca::SpiffeId;
use model::Ref;
use tokio::sync::watch;

/// The mesh configuration that is in force; none before it is known.
pub type Settings = watch::Receiver<Option<Ref<MeshConfig>>>;

/// A client whose identity was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub identity: SpiffeId,
    /// How that was found out.
    pub means: Means,
    /// The pod that its token is bound to; none without such a token.
    pub pod: Option<BoundPod>,
}

/// How an identity was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By a client certificate of the mesh.
    Certificate,
    /// By a token of a service account.
    Token,
    /// By a client certificate that a trusted gateway saw.
    Forwarded,
    /// By a client certificate of another trust domain, which the mesh trusts: it says nothing about accounts of the mesh.
    Foreign,
}

/// The pod that a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundPod {
    /// Its name, in the namespace of the service account.
    pub name: String,
    /// Its identity over its life.
    pub uid: String,
}

/// Why a client is not who it says, in words for the log of the control plane. Clients are not told: it would help those
/// who try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(String);

impl Refused {
    /// For this reason.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The trust domains of a mesh: its own under all of its names, and others that it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// In which identities are issued.
    pub own: String,
    /// Other names of it, from which they are taken as well.
    pub aliases: Vec<String>,
    /// Those that further roots of the mesh configuration are for (`caCertificates[].trustDomains`).
    pub others: Vec<String>,
}

impl Domains {
    /// Those of the mesh configuration that is in force.
    ///
    /// # Errors
    /// It is not known yet.
    pub fn now(settings: &Settings) -> Result<Self, Refused> {
        let known = settings.borrow();
        let mesh = known.as_ref().ok_or_else(|| Refused::new("the mesh configuration is not known yet"))?;
        let own = mesh.trust_domain.replace('@', ".");
        let others = mesh.ca_certificates.iter().flat_map(|of| &of.trust_domains).cloned().collect();
        Ok(Self { own, aliases: mesh.trust_domain_aliases.clone(), others })
    }

    /// Whether a domain is the mesh's own or an alias of it.
    pub fn include(&self, domain: &str) -> bool {
        domain == self.own || self.aliases.iter().any(|alias| alias == domain)
    }

    /// An identity of the mesh.
    ///
    /// # Errors
    /// It is of another trust domain.
    pub fn admit(&self, identity: SpiffeId) -> Result<SpiffeId, Refused> {
        if self.include(identity.trust_domain()) {
            return Ok(identity);
        }
        Err(Refused::new(format!(
            "{identity} is of another trust domain than {:?} and its aliases",
            self.own
        )))
    }

    /// How the identity of a client certificate counts that was verified.
    ///
    /// # Errors
    /// It is of a trust domain that the mesh does not know.
    pub fn means(&self, identity: &SpiffeId) -> Result<Means, Refused> {
        let domain = identity.trust_domain();
        if !self.include(domain) && self.others.iter().any(|other| other == domain) {
            return Ok(Means::Foreign);
        }
        self.admit(identity.clone()).map(|_| Means::Certificate)
    }
}
