//! Which secrets a class may have: all that could be asked for and is there, under each of its names.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::mesh_config::PrivateKeyProvider;
use model::credential::{Holder, Name};
use model::mesh::{CA_SUFFIX, Seen};
use model::{Mesh, Ref};

use super::{Content, Reader, SecretKey, SecretsView};
use crate::class::OwnView;
use crate::context::Context;
use crate::gateways::references;
use crate::key::{Entries, Key, entries};
use crate::scope;

/// Plans what a class may have.
pub(crate) fn plan(mesh: &Mesh, view: &SecretsView) -> Entries {
    let mut list = List::default();
    match view {
        SecretsView::ConfigMaps => list.config_maps(mesh),
        SecretsView::Roots(reader) => list.roots(mesh, reader),
        SecretsView::Pairs(reader, provider) => list.pairs(mesh, reader, provider.as_deref()),
        SecretsView::Gateway(view, account) => list.gateway(mesh, view, account),
    }
    entries(list.0)
}

/// The sections of a mesh that plans of secrets look at.
pub(crate) fn looked_at(mesh: &Mesh) -> Mesh {
    Mesh {
        settings: mesh.settings.clone(),
        credentials: Arc::clone(&mesh.credentials),
        gateways: Arc::clone(&mesh.gateways),
        reference_grants: Arc::clone(&mesh.reference_grants),
        services: Arc::clone(&mesh.services),
        ..Mesh::default()
    }
}

/// Whether what was planned from an older mesh is right in this one, without a look at what is in it.
pub(crate) fn is_same(mesh: &Mesh, old: &Mesh, view: &SecretsView) -> bool {
    let (new, before) = (&mesh.credentials, &old.credentials);
    match view {
        SecretsView::ConfigMaps => Arc::ptr_eq(&new.config_maps, &before.config_maps),
        SecretsView::Roots(reader) | SecretsView::Pairs(reader, _) => {
            seen(mesh, reader).is_same(&seen(old, reader))
        }
        SecretsView::Gateway(view, _) => {
            let own = &*view.shared.namespace;
            let same = |of| Seen::at_home(new, of).is_same(&Seen::at_home(before, of));
            mesh.reference_grants == old.reference_grants
                && std::iter::once(own).chain(mesh.reference_grants.namespaces(own)).all(same)
                && Arc::ptr_eq(&mesh.gateways, &old.gateways)
                && Arc::ptr_eq(&mesh.services, &old.services)
                && mesh.settings == old.settings
        }
    }
}

fn seen<'a>(mesh: &'a Mesh, reader: &Reader) -> Seen<'a> {
    mesh.credentials.seen(&reader.cluster, &reader.namespace)
}

#[derive(Default)]
struct List(Vec<(Arc<str>, Key)>);

impl List {
    fn add(&mut self, name: Name<'_>, content: Content) {
        let name: Arc<str> = name.to_string().into();
        let key = SecretKey { name: Arc::clone(&name), content };
        self.0.push((name, Key::Secret(Ref::new(key))));
    }

    /// Adds a secret of a namespace under both of its names.
    fn both(&mut self, namespace: &str, name: &str, content: &Content) {
        for namespace in [None, Some(namespace)] {
            self.add(Name { holder: Holder::Secret, namespace, name }, content.clone());
        }
    }

    fn config_maps(&mut self, mesh: &Mesh) {
        for ((namespace, name), roots) in &*mesh.credentials.config_maps {
            for name in [name.to_string(), format!("{name}{CA_SUFFIX}")] {
                let name = Name { holder: Holder::ConfigMap, namespace: Some(namespace), name: &name };
                self.add(name, Content::Roots(roots.clone()));
            }
        }
    }

    fn roots(&mut self, mesh: &Mesh, reader: &Reader) {
        let seen = seen(mesh, reader);
        let mut names = BTreeSet::new();
        for name in seen.names() {
            names.insert(format!("{name}{CA_SUFFIX}"));
            if name.ends_with(CA_SUFFIX) {
                names.insert(name.to_string());
            }
        }
        for name in &names {
            if let Ok(roots) = seen.roots(name) {
                self.both(&reader.namespace, name, &Content::Roots(roots.clone()));
            }
        }
    }

    fn pairs(&mut self, mesh: &Mesh, reader: &Reader, provider: Option<&PrivateKeyProvider>) {
        let seen = seen(mesh, reader);
        let names: BTreeSet<_> = seen.names().filter(|name| !name.ends_with(CA_SUFFIX)).collect();
        for name in names {
            if let Ok(pair) = seen.pair(name) {
                self.both(&reader.namespace, name, &Content::Pair(pair.clone(), provider.cloned()));
            }
        }
    }

    fn gateway(&mut self, mesh: &Mesh, view: &Ref<OwnView>, account: &str) {
        let scope = scope::own(mesh, &view.shared);
        let context = Context { mesh, view: &view.shared, scope: &scope };
        let provider = view.shared.proxy_config.private_key_provider.clone();
        for text in references::verified(&context, view, account) {
            let Some(name) = Name::parse(&text) else { continue };
            let seen = Seen::at_home(&mesh.credentials, name.namespace.unwrap_or_default());
            let content = if name.is_roots() {
                seen.roots(name.name).map(|roots| Content::Roots(roots.clone()))
            } else {
                seen.pair(name.name).map(|pair| Content::Pair(pair.clone(), provider.clone()))
            };
            if let Ok(content) = content {
                self.add(name, content);
            }
        }
    }
}
