//! Sections of objects that are looked up by namespace: Sidecar, Gateway and the kinds of policies.

use api::istio::{AuthorizationPolicy, Gateway, PeerAuthentication, RequestAuthentication, Sidecar};

use super::lists::Lists;
use crate::config::Config;
use crate::content::Ref;

macro_rules! section {
    ($(#[$doc:meta])* $name:ident of $spec:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(Lists<Config<$spec>>);

        impl $name {
            /// Indexes the objects; their order does not matter.
            pub fn new(mut objects: Vec<Ref<Config<$spec>>>) -> Self {
                objects.sort_by(|a, b| a.by_age(b));
                Self(Lists::new(&objects, Config::namespace))
            }

            /// The objects of a namespace, oldest first.
            pub fn of_namespace(&self, namespace: &str) -> &[Ref<Config<$spec>>] {
                self.0.of(namespace)
            }

            /// All objects, by namespace, oldest first within one.
            pub fn iter(&self) -> impl Iterator<Item = &Ref<Config<$spec>>> {
                self.0.by_name().values().flat_map(|l| l.iter())
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
section! {
    /// All RequestAuthentications.
    RequestAuthentications of RequestAuthentication
}
section! {
    /// All AuthorizationPolicies.
    AuthorizationPolicies of AuthorizationPolicy
}
