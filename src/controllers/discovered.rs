//! Which namespaces the mesh counts: those that its `discoverySelectors` select.
//!
//! Source: `shared/spec/kubernetes.md` 1.11; Istio `pkg/kube/namespace/filter.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::decode::AnyObject;
use api::mesh_config::LabelSelector;
use api::{Kind, ObjectKey};
use model::selector::selected;
use sources::feed::Feed;

/// What controllers read of a Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub deletion: bool,
}

/// The namespaces of the cluster.
pub fn namespaces() -> Feed<Namespace> {
    Feed::new(&[Kind::Namespace], |object| match object {
        AnyObject::Namespace(namespace) => {
            Some(Namespace { labels: namespace.meta.labels.clone(), deletion: namespace.meta.deletion })
        }
        _ => None,
    })
}

/// The namespaces that are there, and which of them count. Pure.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    namespaces: BTreeMap<Arc<str>, Namespace>,
    selectors: Option<Vec<LabelSelector>>,
}

impl Discovered {
    /// Takes what is new of namespaces.
    pub(crate) fn take(&mut self, news: &[(ObjectKey, Option<Namespace>)]) {
        for (key, namespace) in news {
            match namespace {
                Some(namespace) => self.namespaces.insert(Arc::clone(&key.name), namespace.clone()),
                None => self.namespaces.remove(&key.name),
            };
        }
    }

    /// Takes the selectors; none while they are not known. Whether they differ.
    pub(crate) fn select(&mut self, selectors: Option<Vec<LabelSelector>>) -> bool {
        let differs = self.selectors != selectors;
        self.selectors = selectors;
        differs
    }

    /// The namespaces that are there, whether they count or not.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    /// A namespace that is there and not being deleted.
    pub(crate) fn alive(&self, name: &str) -> bool {
        self.namespaces.get(name).is_some_and(|namespace| !namespace.deletion)
    }

    /// Whether a namespace's objects count. None do while the selectors are not known.
    pub(crate) fn counts(&self, name: &str) -> bool {
        match self.selectors.as_deref() {
            None => false,
            Some([]) => true,
            Some(selectors) => self
                .namespaces
                .get(name)
                .is_some_and(|namespace| selectors.iter().any(|s| selected(s, &namespace.labels))),
        }
    }
}
