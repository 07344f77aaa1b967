//! Identities where callers may come in plain text, and have none (ISTIO-SECURITY-2021-004).

use api::istio::{AuthorizationAction, AuthorizationRule, Condition, MutualTlsMode, PeerAuthentication};

use super::super::policies::labels;
use super::super::ports::agree;
use super::About;
use crate::config::{Config, Labels};
use crate::content::Ref;
use crate::validate::Check;

/// Keys of conditions on the identity of the connection.
const IDENTITIES: [&str; 4] =
    ["source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain"];

impl About<'_> {
    /// Identities where callers may come in plain text, and have none.
    pub(super) fn identities(&self, check: &mut Check, rule: &AuthorizationRule) {
        let (allows, denies) = match self.policy.action {
            AuthorizationAction::Allow => (true, false),
            AuthorizationAction::Deny => (false, true),
            _ => return,
        };
        if !self.takes_plain_text() {
            return;
        }
        let on = |keys: &Condition| IDENTITIES.contains(&keys.key.as_str());
        let wanted = rule.when.iter().any(|when| on(when) && !when.values.is_empty());
        let excluded = rule.when.iter().any(|when| on(when) && !when.not_values.is_empty());
        let look = |check: &mut Check, field: &str, wanted: bool, excluded: bool| {
            if allows && excluded && !wanted {
                let message =
                    "callers in plain text have no identity: none of them is excluded, all are allowed";
                let hint = "add principals: [\"*\"] to the source, or let a PeerAuthentication ask for mutual TLS (STRICT)";
                check.warning(field, message, hint);
            } else if denies && wanted {
                let message = "callers in plain text have no identity: none of them is denied";
                let hint = "let a PeerAuthentication ask for mutual TLS (STRICT), or deny by notPrincipals who else may not";
                check.warning(field, message, hint);
            }
        };
        if rule.from.is_empty() {
            look(check, "when", wanted, excluded);
        }
        check.each("from", &rule.from, |check, from| {
            let Some(source) = &from.source else { return };
            let some = |lists: [&Vec<String>; 4]| lists.iter().any(|list| !list.is_empty());
            let named = some([
                &source.principals,
                &source.namespaces,
                &source.service_accounts,
                &source.trust_domains,
            ]);
            let named_not = some([
                &source.not_principals,
                &source.not_namespaces,
                &source.not_service_accounts,
                &source.not_trust_domains,
            ]);
            look(check, "source", wanted || named, excluded || named_not);
        });
    }

    /// Whether some workload that the policy is for may take plain text.
    fn takes_plain_text(&self) -> bool {
        let policies = &self.mesh.peer_authentications;
        let root = &self.mesh.settings.mesh.root_namespace;
        let whole = |namespace: &str| {
            let mut whole = policies.of_namespace(namespace).iter().filter(|p| selector(p).is_none());
            whole.find_map(|policy| mode(policy))
        };
        if self.whole_mesh {
            return whole(root) != Some(MutualTlsMode::Strict) || policies.iter().any(loosens);
        }
        let of_workloads = policies.of_namespace(self.namespace).iter().filter(|p| selector(p).is_some());
        let mut known = of_workloads.filter(|p| agree(self.selected, selector(p)));
        if known.clone().any(loosens) {
            return true;
        }
        let general = whole(self.namespace).or_else(|| whole(root));
        let covers = |p: &Ref<Config<PeerAuthentication>>| {
            let of_all =
                |own: &Labels| selector(p).is_some_and(|s| s.iter().all(|(k, v)| own.get(k) == Some(v)));
            mode(p) == Some(MutualTlsMode::Strict) && self.selected.is_some_and(of_all)
        };
        general != Some(MutualTlsMode::Strict) && !known.any(covers)
    }
}

fn selector(policy: &Config<PeerAuthentication>) -> Option<&Labels> {
    labels(policy.spec.selector.as_ref())
}

fn mode(policy: &Config<PeerAuthentication>) -> Option<MutualTlsMode> {
    policy.spec.mtls.as_ref().map(|mtls| mtls.mode).filter(|mode| *mode != MutualTlsMode::Unset)
}

/// Whether a policy lets plain text in somewhere.
fn loosens(policy: &Ref<Config<PeerAuthentication>>) -> bool {
    let loose = |mode| matches!(mode, MutualTlsMode::Permissive | MutualTlsMode::Disable);
    mode(policy).is_some_and(loose) || policy.spec.port_level_mtls.values().any(|port| loose(port.mode))
}
