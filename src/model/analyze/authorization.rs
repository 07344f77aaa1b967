//! AuthorizationPolicies against what they are for.
//!
//! Source: `shared/spec/security.md` 8.5, 8.7, 9.2.

mod bytes;
mod identities;
mod provider;
mod rules;

use api::istio::{AuthorizationPolicy, PolicyTargetReference, Unread};

use super::Subject;
use super::policies::labels;
use super::ports::agree;
use crate::config::{Config, GATEWAY_NAME, Labels, selects};
use crate::mesh::Mesh;
use crate::validate::Check;

/// A policy, and which workloads it is for.
struct About<'a> {
    policy: &'a AuthorizationPolicy,
    namespace: &'a str,
    /// It is for all namespaces.
    whole_mesh: bool,
    selected: Option<&'a Labels>,
    mesh: &'a Mesh,
}

pub(super) fn authorization_policy(
    check: &mut Check,
    policy: &AuthorizationPolicy,
    subject: Subject<'_>,
    mesh: &Mesh,
) {
    if policy.unread != Unread::Nothing {
        return;
    }
    let about = About {
        policy,
        namespace: subject.namespace(),
        whole_mesh: subject.namespace() == mesh.settings.mesh.root_namespace,
        selected: labels(policy.selector.as_ref()),
        mesh,
    };
    about.targets(check);
    about.gateways(check);
    about.provider(check);
    check.each("rules", &policy.rules, |check, rule| {
        about.contradictions(check, rule);
        about.tokens(check, rule);
    });
    // A policy for a target is enforced where the target's ports are those of a service, and callers are clients.
    if policy.target_ref.is_some() || !policy.target_refs.is_empty() {
        return;
    }
    check.each("rules", &policy.rules, |check, rule| {
        about.ports(check, rule, subject);
        about.identities(check, rule);
    });
    about.bytes(check);
}

impl About<'_> {
    /// Targets that no proxy of this mesh stands for.
    fn targets(&self, check: &mut Check) {
        let look = |check: &mut Check, target: &PolicyTargetReference| {
            if !matches!(target.kind.as_str(), "" | "Gateway") {
                let message = format!(
                    "waypoints enforce policies for a {}, and they are not served: nothing does",
                    target.kind
                );
                check.warning("kind", message, "select workloads by a selector, or name a Gateway");
            }
        };
        check.some("targetRef", self.policy.target_ref.as_ref(), look);
        check.each("targetRefs", &self.policy.target_refs, look);
    }

    /// Gateways of the Gateway API where a policy without targets is not enforced, since a flag says so.
    fn gateways(&self, check: &mut Check) {
        let targets = self.policy.target_ref.is_some() || !self.policy.target_refs.is_empty();
        if targets || self.mesh.settings.features.selector_gateway_policy {
            return;
        }
        let own =
            self.mesh.workloads.pods.iter().filter(|(of, _)| self.whole_mesh || ***of == *self.namespace);
        let passed_over = own.flat_map(|(of, pods)| pods.values().map(move |pod| (of, &pod.workload.labels)));
        let mut passed_over = passed_over.filter(|(_, own)| self.selected.is_none_or(|of| selects(of, own)));
        let found = passed_over.find_map(|(of, labels)| Some((of, labels.get(GATEWAY_NAME)?)));
        if let Some((namespace, gateway)) = found {
            let message = format!(
                "it is not enforced at the gateway {namespace}/{gateway}, as ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY=false has it"
            );
            check.warning("selector", message, "name the gateway in targetRefs of a policy of its namespace");
        }
    }

    /// Whether another policy may be for a workload that this one is for.
    fn meets(&self, other: &Config<AuthorizationPolicy>) -> bool {
        let root = &self.mesh.settings.mesh.root_namespace;
        let namespaces =
            self.whole_mesh || **other.namespace() == *self.namespace || **other.namespace() == **root;
        namespaces && agree(self.selected, labels(other.spec.selector.as_ref()))
    }
}
