//! To which workloads policies attach: by labels, or by the name of a gateway of the Gateway API.
//!
//! Source: Istio `pilot/pkg/model/policyattachment.go`; `shared/spec/security.md` 8.1.

use api::istio::{MatchLabels, PolicyTargetReference, Unread};
use model::Labels;
pub(crate) use model::config::GATEWAY_NAME;
use model::config::selects;
use model::mesh::Settings;

use crate::class::OwnView;

/// The group of gateways that are targets.
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// A workload that policies may attach to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload<'a> {
    namespace: &'a str,
    labels: &'a Labels,
    root_namespace: &'a str,
    selectors_for_gateways: bool,
}

/// What a policy says of the workloads that it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attachment<'a> {
    /// Namespace of the policy.
    pub(crate) namespace: &'a str,
    /// Labels; none for all workloads of the namespace.
    pub(crate) selector: Option<&'a MatchLabels>,
    /// The target. Deprecated for `targets`, which win.
    pub(crate) target: Option<&'a PolicyTargetReference>,
    /// Targets instead of labels.
    pub(crate) targets: &'a [PolicyTargetReference],
    /// What of the policy could not be read.
    pub(crate) unread: Unread,
}

impl<'a> Workload<'a> {
    /// The workload that an own view is of.
    pub(crate) fn of(settings: &'a Settings, view: &'a OwnView) -> Self {
        Self::new(settings, &view.shared.namespace, &view.labels)
    }

    /// A workload of a namespace, with labels.
    pub(crate) fn new(settings: &'a Settings, namespace: &'a str, labels: &'a Labels) -> Self {
        Self {
            namespace,
            labels,
            root_namespace: &settings.mesh.root_namespace,
            selectors_for_gateways: settings.features.selector_gateway_policy,
        }
    }

    /// The namespaces whose policies may attach: the root namespace first, then its own.
    pub(crate) fn namespaces(self) -> impl DoubleEndedIterator<Item = &'a str> {
        let own = (self.namespace != self.root_namespace).then_some(self.namespace);
        std::iter::once(self.root_namespace).chain(own)
    }

    /// Whether a policy of one of its [`namespaces`](Self::namespaces) attaches to it.
    pub(crate) fn has(self, policy: Attachment<'_>) -> bool {
        if policy.unread == Unread::Scope {
            return true;
        }
        let old = policy.target.filter(|_| policy.targets.is_empty());
        let mut targets = policy.targets.iter().chain(old).peekable();
        let selected = || policy.selector.is_none_or(|selector| selects(&selector.match_labels, self.labels));
        match (self.labels.get(GATEWAY_NAME), targets.peek()) {
            (None, Some(_)) => false,
            (None, None) => selected(),
            (Some(_), None) => self.selectors_for_gateways && selected(),
            (Some(gateway), Some(_)) => {
                policy.namespace == self.namespace && targets.any(|target| self.is_gateway(gateway, target))
            }
        }
    }

    fn is_gateway(self, name: &str, target: &PolicyTargetReference) -> bool {
        target.group == GATEWAY_GROUP
            && target.kind == "Gateway"
            && target.name == name
            && (target.namespace.is_empty() || target.namespace == self.namespace)
    }
}

#[cfg(test)]
mod tests;
