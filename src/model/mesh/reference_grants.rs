//! ReferenceGrants, as far as they let gateways have Secrets of other namespaces than their own.
//!
//! Source: Gateway API, "ReferenceGrant"; Istio `pilot/pkg/config/kube/gatewaycommon/references.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::gateway_api::ReferenceGrant;

use crate::config::Config;

/// The group and kind of who may refer.
const GATEWAY: (&str, &str) = ("gateway.networking.k8s.io", "Gateway");
/// Those of what may be referred to.
const SECRET: (&str, &str) = ("", "Secret");

/// Which Secrets of which namespaces the gateways of a namespace may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceGrants(BTreeMap<String, BTreeMap<Arc<str>, Granted>>);

/// The Secrets of a namespace that are granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Granted {
    all: bool,
    names: BTreeSet<String>,
}

impl ReferenceGrants {
    /// What these grant; their order does not matter.
    pub fn of<'g>(grants: impl Iterator<Item = &'g Config<ReferenceGrant>>) -> Self {
        let mut known = Self::default();
        for grant in grants {
            let from = grant.spec.from.iter().filter(|from| (&*from.group, &*from.kind) == GATEWAY);
            for from in from {
                for to in grant.spec.to.iter().filter(|to| (&*to.group, &*to.kind) == SECRET) {
                    let of = known.0.entry(from.namespace.clone()).or_default();
                    let granted = of.entry(Arc::clone(grant.namespace())).or_default();
                    granted.all |= to.name.is_none();
                    granted.names.extend(to.name.clone());
                }
            }
        }
        known
    }

    /// Whether gateways of the namespace `from` may have a Secret of another namespace.
    pub fn allow(&self, from: &str, namespace: &str, name: &str) -> bool {
        let granted = self.0.get(from).and_then(|of| of.get(namespace));
        granted.is_some_and(|granted| granted.all || granted.names.contains(name))
    }

    /// The other namespaces of which gateways of `from` may have any Secret.
    pub fn namespaces(&self, from: &str) -> impl Iterator<Item = &str> {
        self.0.get(from).into_iter().flat_map(|of| of.keys().map(|namespace| &**namespace))
    }
}
