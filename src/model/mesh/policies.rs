//! Sections of objects that are looked up by namespace: Sidecar, Gateway, PeerAuthentication.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::istio::{Gateway, PeerAuthentication, Sidecar};

use crate::config::Config;
use crate::content::Ref;

/// Objects of one kind by namespace, oldest first.
type ByNamespace<S> = BTreeMap<Arc<str>, Ref<Vec<Ref<Config<S>>>>>;

/// Objects of one kind, indexed.
fn index<S: std::hash::Hash>(mut objects: Vec<Ref<Config<S>>>) -> ByNamespace<S> {
    objects.sort_by(|a, b| a.by_age(b));
    let mut lists: BTreeMap<Arc<str>, Vec<Ref<Config<S>>>> = BTreeMap::new();
    for object in objects {
        lists.entry(Arc::clone(object.namespace())).or_default().push(object);
    }
    lists.into_iter().map(|(ns, list)| (ns, Ref::new(list))).collect()
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident of $spec:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(ByNamespace<$spec>);

        impl $name {
            /// Indexes the objects; their order does not matter.
            pub fn new(objects: Vec<Ref<Config<$spec>>>) -> Self {
                Self(index(objects))
            }

            /// The objects of a namespace, oldest first.
            pub fn of_namespace(&self, namespace: &str) -> &[Ref<Config<$spec>>] {
                self.0.get(namespace).map_or(&[], |l| l.as_slice())
            }

            /// All objects, by namespace, oldest first within one.
            pub fn iter(&self) -> impl Iterator<Item = &Ref<Config<$spec>>> {
                self.0.values().flat_map(|l| l.iter())
            }
        }
    };
}

section! {
    /// All Sidecar resources.
    Sidecars of Sidecar
}
section! {
    /// All Gateway resources.
    Gateways of Gateway
}
section! {
    /// All PeerAuthentications.
    PeerAuthentications of PeerAuthentication
}
