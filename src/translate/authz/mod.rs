//! Authorization: the AuthorizationPolicies of a workload as RBAC filters, and as filters that ask external authorizers.
//!
//! A plan selects the policies of a workload and finds the authorizers that they name: [`Policies`], which keys of inbound and
//! gateway listeners hold. A builder makes the [`Filters`] of it once for all chains of a listener: first those of CUSTOM, then
//! (behind the check of tokens) one each for AUDIT, DENY and ALLOW.
//!
//! It fails closed: [`rule`] says what becomes of parts that cannot be said; rules whose authorizer cannot be asked deny.
//!
//! Source: Istio `pilot/pkg/security/authz/`; `shared/spec/security.md` 8.

mod aliases;
mod attribute;
mod authorizer;
mod claims;
mod ext_authz;
mod filters;
mod matcher;
mod node;
mod operation;
mod rule;
mod source;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::ObjectRef;
use api::istio::{AuthorizationAction, AuthorizationPolicy};
use model::{Config, Mesh, Ref};

pub use authorizer::{Asked, Authorizer, Protocol};
pub use filters::{Filters, HttpFilters};

use crate::attach::{Attachment, Workload};
use crate::class::OwnView;

/// The policies of one workload, and what else they are translated with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policies {
    /// The policies: those of the root namespace first, oldest first.
    policies: Vec<Ref<Config<AuthorizationPolicy>>>,
    /// The external authorizers that they name, by name.
    authorizers: Vec<Authorizer>,
    /// The mesh's trust domain and its aliases; empty where there are no policies.
    trust_domains: Vec<String>,
}

impl Policies {
    /// Those that select a workload.
    pub fn of(mesh: &Mesh, view: &OwnView) -> Self {
        let workload = Workload::of(&mesh.settings, view);
        let known = workload.namespaces().flat_map(|n| mesh.authorization_policies.of_namespace(n));
        let policies: Vec<_> = known.filter(|policy| workload.has(attachment(policy))).cloned().collect();
        if policies.is_empty() {
            return Self::default();
        }
        let settings = &mesh.settings.mesh;
        let own = std::iter::once(&settings.trust_domain);
        Self {
            authorizers: authorizers(mesh, &policies),
            trust_domains: own.chain(&settings.trust_domain_aliases).cloned().collect(),
            policies,
        }
    }

    /// Whether the policies of a workload are the same in both meshes, as far as they may differ by what was applied since.
    pub(crate) fn same(mesh: &Mesh, old: &Mesh, view: &OwnView) -> bool {
        let services = Arc::ptr_eq(&mesh.services, &old.services);
        let policies = Arc::ptr_eq(&mesh.authorization_policies, &old.authorization_policies);
        // Services matter as far as they are those of authorizers.
        let lonely = || !mesh.settings.mesh.extension_providers.iter().any(authorizer::is_one);
        (policies && (services || lonely())) || Self::of(mesh, view) == Self::of(old, view)
    }

    /// The objects that the filters come from.
    pub fn sources(&self) -> impl Iterator<Item = &ObjectRef> {
        self.policies.iter().map(|policy| &policy.source)
    }

    fn with(&self, action: AuthorizationAction) -> impl Iterator<Item = &Ref<Config<AuthorizationPolicy>>> {
        self.policies.iter().filter(move |policy| policy.spec.action == action)
    }
}

fn attachment(policy: &Config<AuthorizationPolicy>) -> Attachment<'_> {
    Attachment {
        namespace: policy.namespace(),
        selector: policy.spec.selector.as_ref(),
        target: policy.spec.target_ref.as_ref(),
        targets: &policy.spec.target_refs,
        unread: policy.spec.unread,
    }
}

/// The authorizers that policies name.
fn authorizers(mesh: &Mesh, policies: &[Ref<Config<AuthorizationPolicy>>]) -> Vec<Authorizer> {
    let custom = policies.iter().filter(|policy| policy.spec.action == AuthorizationAction::Custom);
    let names: BTreeSet<&str> = custom.map(|policy| provider(policy)).collect();
    if names.len() > 1 && !mesh.settings.features.several_authorizers {
        return names.into_iter().map(Authorizer::refused).collect();
    }
    names.into_iter().map(|name| Authorizer::of(mesh, name)).collect()
}

/// The name of the authorizer of a CUSTOM policy; empty if it names none.
fn provider(policy: &Config<AuthorizationPolicy>) -> &str {
    policy.spec.provider.as_ref().map_or("", |provider| &provider.name)
}

#[cfg(test)]
mod tests;
