//! Secrets over ADS: which of them the proxies of a service account may have, under which names, and in what form.
//!
//! What may be had is decided here and nowhere below: a plan has only what its class may have, so no stream can be
//! answered from what was made for another.
//!
//! Source: Istio `pilot/pkg/xds/sds.go`, `pilot/pkg/model/credentials/resource.go`; `shared/spec/security.md` 4.

mod build;
mod plan;

use std::sync::Arc;

use api::ObjectRef;
use api::mesh_config::PrivateKeyProvider;
use model::credential::{KeyPair, Roots};
use model::mesh::Access;
use model::{Mesh, Proxy, ProxyKind, Ref};

pub use build::build;
pub(crate) use plan::{is_same, looked_at, plan};

use crate::class::OwnView;

/// All that a Secret is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretKey {
    /// The name that is asked for.
    pub name: Arc<str>,
    /// What it holds.
    pub content: Content,
}

/// What a Secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A certificate with its key, and the hardware that uses the key.
    Pair(Ref<KeyPair>, Option<PrivateKeyProvider>),
    /// Roots of trust.
    Roots(Ref<Roots>),
}

impl SecretKey {
    /// The Secret or ConfigMap.
    pub fn source(&self) -> &ObjectRef {
        match &self.content {
            Content::Pair(pair, _) => &pair.source,
            Content::Roots(roots) => &roots.source,
        }
    }
}

/// Who may have what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretsView {
    /// Anybody who is known: roots of trust in ConfigMaps.
    ConfigMaps,
    /// The service accounts of a namespace: roots of trust in its Secrets.
    Roots(Reader),
    /// Those of them that may list its Secrets: keys too.
    Pairs(Reader, Option<Ref<PrivateKeyProvider>>),
    /// A router that runs as a service account: what Gateways of its namespace name for it.
    Gateway(Ref<OwnView>, Arc<str>),
}

/// Whose Secrets are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reader {
    /// The cluster of the proxy; empty for the home cluster.
    pub cluster: Arc<str>,
    /// The namespace of its service account.
    pub namespace: Arc<str>,
}

/// What a proxy may have: nothing unless it is known who it is, and somebody asked for secrets in its name.
pub(crate) fn views(mesh: &Mesh, proxy: &Proxy, own: &Ref<OwnView>) -> Vec<SecretsView> {
    let account = proxy.account.as_ref().filter(|_| mesh.settings.features.xds_identity_check);
    let Some((account, access)) = account.and_then(|account| Some((account, mesh.access(account)?))) else {
        return Vec::new();
    };
    let reader = Reader { cluster: Arc::clone(&account.cluster), namespace: Arc::clone(&account.namespace) };
    let mut views = vec![SecretsView::ConfigMaps, SecretsView::Roots(reader.clone())];
    if access == Access::Granted {
        let provider = own.shared.proxy_config.private_key_provider.clone();
        views.push(SecretsView::Pairs(reader, provider.map(Ref::new)));
    }
    if proxy.kind == ProxyKind::Router {
        views.push(SecretsView::Gateway(own.clone(), Arc::clone(&account.name)));
    }
    views
}
