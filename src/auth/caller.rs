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

/// The trust domains of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// In which identities are issued.
    pub own: String,
    /// From which they are taken as well.
    pub aliases: Vec<String>,
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
        Ok(Self { own, aliases: mesh.trust_domain_aliases.clone() })
    }

    /// An identity of one of them.
    ///
    /// # Errors
    /// It is of another.
    pub fn admit(&self, identity: SpiffeId) -> Result<SpiffeId, Refused> {
        let domain = identity.trust_domain();
        if domain == self.own || self.aliases.iter().any(|alias| alias == domain) {
            return Ok(identity);
        }
        Err(Refused::new(format!(
            "{identity} is of another trust domain than {:?} and its aliases",
            self.own
        )))
    }
}
