//! Who signs certificates here, which one the control plane itself shows, and what is trusted: put together as variables, flags
//! and files say.
//!
//! Source: `shared/spec/security.md` 1.1, 1.7 to 1.9.

use anyhow::Result;
use auth::Signing;
use controllers::write::Writers;
use prometheus::Registry;
use sources::event::Batch;
use sources::kube::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::authority::anchors::Anchored;
use crate::authority::external::Used;
use crate::authority::root::{Root, Settings, Trusted};
use crate::authority::trust::{Own, Trust};
use crate::features;
use crate::features::certificates::{Issuing, Provider};
use crate::flags::Discovery;
use crate::serving::tls::{Identity, Origin};

/// All of it.
pub(crate) struct Certificates {
    /// Whether this process has the mesh's authority.
    pub(crate) has_authority: bool,
    /// Who this process is on its TLS ports; none if it has no certificate.
    pub(crate) identity: Option<Identity>,
    /// What namespaces are told to trust; none if nobody tells them.
    pub(crate) distributed: Option<Trusted>,
    /// What peers trust.
    pub(crate) trust: Trust,
    /// Who signs for workloads; nobody if no certificates are issued.
    pub(crate) signing: Option<Signing>,
}

impl Certificates {
    /// As said. Where several roots may be (`multiroot`), proxies are told what is trusted by way of `batches`. The authority's `root` signs the control plane's own certificate only where it is kept: one that is only in
    /// memory is of no use to anybody.
    ///
    /// # Errors
    /// What is said does not fit together, or a file cannot be used.
    pub(crate) fn of(
        tasks: &mut JoinSet<Result<()>>,
        flags: &Discovery,
        (issuing, kept): (Issuing, bool),
        (root, cluster): (&Root, Option<(&Connection, &Writers)>),
        (settings, multiroot): (&Settings, bool),
        batches: mpsc::Sender<Batch>,
        registry: &Registry,
    ) -> Result<Self> {
        let used = Used::of(tasks, &issuing, cluster, settings, registry)?;
        let files = Origin::files(flags)?;
        let authority = issuing.has_authority().then(|| root.trusted.clone());
        let file = files.as_ref().and_then(Origin::ca_file);
        let anchored = Anchored::of(tasks, &issuing, (authority, file), used.anchors.as_ref(), settings);
        let own = Own { roots: root.roots.clone(), clients: anchored.clients, peers: anchored.peers };
        let trust = Trust::start(tasks, own, settings.clone(), (multiroot, batches), registry)?;
        let origin = match (files, &issuing.provider, &used.signers, &anchored.own) {
            (Some(files), ..) => Some(files),
            (None, Provider::Signer(signer), Some(signers), Some(own)) => {
                Some(Origin::Signer(signers.clone(), signer.clone(), own.clone()))
            }
            _ if issuing.signs_own() => kept.then(|| Origin::Root(root.roots.clone())),
            _ => {
                issuing.explain()?;
                None
            }
        };
        let signing = issuing.offered.then(|| match used.external {
            Some(external) => Signing::Elsewhere(external, features::certificate_lifetimes().max_ttl),
            None => Signing::Here(trust.roots.clone()),
        });
        Ok(Self {
            has_authority: issuing.has_authority(),
            identity: origin.map(|origin| Identity::of(flags, origin)),
            distributed: anchored.distributed,
            trust,
            signing,
        })
    }
}
