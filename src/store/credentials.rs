//! Secrets and ConfigMaps that proxies are sent, and the service accounts that asked for them.
//!
//! Source: `shared/spec/security.md` 4; Istio `pilot/pkg/credentials/kube/secrets.go` (`SecretsFieldSelector`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Object;
use api::kubernetes::Secret;
use model::credential::Credential;
use model::mesh::{Access, Account, Changes, Credentials, SecretsOf};
use model::{Mesh, Ref};

use crate::dirty::{Dirty, Touched};
use crate::next::{Pending, Resettled};
use crate::registry::Registry;
use crate::tables::{Id, Tables};

/// Types of Secrets that are never looked at: most of a cluster's bytes in Secrets.
const NOT_FOLLOWED: [&str; 2] = ["helm.sh/release.v1", "kubernetes.io/service-account-token"];
/// Where the mesh's certificate authority is kept, in the system namespace.
const MESH_CA: [&str; 2] = ["cacerts", "istio-ca-secret"];

/// A Secret as far as proxies use it; none of a type that is not followed.
pub(crate) fn read(object: &Object<Secret>) -> Option<Ref<Credential>> {
    let followed = !NOT_FOLLOWED.contains(&object.spec.r#type.as_str());
    followed.then(|| Ref::new(Credential::of(object)))
}

impl Tables {
    /// Takes what a service account may have, or that nobody asks for it any longer. An account of the home cluster is
    /// known by an empty cluster.
    pub fn admit(&mut self, account: &Account, access: Option<Access>) -> Option<Pending> {
        let old = match access {
            Some(access) => self.accounts.insert(account.clone(), access),
            None => self.accounts.remove(account),
        };
        (old != access).then(|| {
            self.dirty.accounts.insert(account.clone());
            Pending::Endpoints
        })
    }

    /// Brings the section up to date.
    pub(crate) fn update_credentials(
        &self,
        mesh: &mut Mesh,
        dirty: &Dirty,
        resettled: &Resettled,
        changes: &mut Changes,
    ) {
        let touched = |touched: &Touched| touched.namespaces || !touched.secrets.is_empty();
        let every = || resettled.all || touched(&dirty.home) || !resettled.remotes.is_empty();
        if !(every() || dirty.roots || !dirty.accounts.is_empty() || dirty.remotes.values().any(touched)) {
            return;
        }
        let mut section = Credentials::clone(&mesh.credentials);
        let system = &self.options.system_namespace;
        changes.credentials |= self.home.update_secrets(
            &mut section.home,
            &dirty.home,
            resettled.all || dirty.home.namespaces,
            system,
        );
        let nothing = Touched::default();
        for (cluster, registry) in &self.remotes {
            let touched = dirty.remotes.get(cluster).unwrap_or(&nothing);
            let mut secrets = section.remotes.remove(cluster).unwrap_or_default();
            let all = resettled.remote(cluster) || touched.namespaces;
            changes.credentials |= registry.update_secrets(&mut secrets, touched, all, system);
            if !secrets.is_empty() {
                section.remotes.insert(Arc::clone(cluster), secrets);
            }
        }
        if dirty.roots || resettled.all {
            let roots: BTreeMap<Id, _> = self.counted_roots().collect();
            if roots != *section.config_maps {
                section.config_maps = Arc::new(roots);
                changes.credentials = true;
            }
        }
        if !dirty.accounts.is_empty() {
            section.accounts = Arc::new(self.accounts.clone());
            changes.accounts.extend(dirty.accounts.iter().cloned());
        }
        if changes.credentials || !dirty.accounts.is_empty() {
            mesh.credentials = Arc::new(section);
        }
    }

    fn counted_roots(&self) -> impl Iterator<Item = (Id, Ref<model::credential::Roots>)> {
        let counted = self.roots.iter().filter(|(id, _)| self.home.said.discovers(&id.0));
        counted.map(|(id, roots)| (id.clone(), roots.clone()))
    }
}

impl Registry {
    /// Collects the Secrets of the namespaces where one changed, or of all; whether any differs. In the system namespace
    /// are those of which nothing is served.
    fn update_secrets(
        &self,
        section: &mut BTreeMap<Arc<str>, Arc<SecretsOf>>,
        touched: &Touched,
        all: bool,
        system: &str,
    ) -> bool {
        let every = self.secrets.keys().map(|id| &id.0).chain(section.keys()).filter(|_| all);
        let namespaces: BTreeSet<Arc<str>> = touched.secrets.iter().chain(every).cloned().collect();
        let mut differs = false;
        for namespace in namespaces {
            let list = if self.said.discovers(&namespace) {
                self.secrets_of(&namespace, *namespace == *system)
            } else {
                SecretsOf::new()
            };
            if section.get(&namespace).map_or(list.is_empty(), |old| **old == list) {
                continue;
            }
            differs = true;
            if list.is_empty() {
                section.remove(&namespace);
            } else {
                section.insert(namespace, Arc::new(list));
            }
        }
        differs
    }

    fn secrets_of(&self, namespace: &Arc<str>, system: bool) -> SecretsOf {
        let from = (Arc::clone(namespace), Arc::from(""));
        let secrets = self.secrets.range(from..).take_while(|(id, _)| id.0 == *namespace);
        let served = |(id, secret): (&Id, &Ref<Credential>)| {
            let mesh_ca = system && MESH_CA.contains(&&*id.1);
            let secret = if mesh_ca { Ref::new(Credential::of_mesh_ca()) } else { secret.clone() };
            (Arc::clone(&id.1), secret)
        };
        secrets.map(served).collect()
    }
}
