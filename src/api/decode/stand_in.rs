//! What stands in for an object that cannot be read: for a policy one that denies, for others their metadata.
//!
//! A policy that somebody wrote must not vanish by a slip in it: what its author wanted kept out would get in. The one that
//! stands in is for the workloads that the written one is for. Where that cannot be read either, it is for all of the
//! namespace (in the root namespace: of the mesh).
//!
//! Source: `shared/design.md` 1.5.

use serde::Deserialize;
use serde_json::Value;

use super::any::AnyObject;
use super::read::read_message;
use crate::istio::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, MatchLabels, MutualTls, MutualTlsMode,
    PeerAuthentication, PolicyTargetReference, RequestAuthentication, Unread,
};
use crate::kind::Kind;
use crate::object::{Meta, Object};

/// By which an AuthorizationPolicy is only tried out.
const DRY_RUN: &str = "istio.io/dry-run";

/// What of a policy says which workloads it is for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    selector: Option<MatchLabels>,
    target_ref: Option<PolicyTargetReference>,
    target_refs: Vec<PolicyTargetReference>,
}

/// What an AuthorizationPolicy does.
#[derive(Deserialize)]
#[serde(default)]
struct Action {
    action: AuthorizationAction,
}

impl Default for Action {
    fn default() -> Self {
        Self { action: AuthorizationAction::Allow }
    }
}

/// Whether something that denies stands in for unreadable objects of a kind.
pub(super) fn denies(kind: Kind) -> bool {
    matches!(kind, Kind::AuthorizationPolicy | Kind::RequestAuthentication | Kind::PeerAuthentication)
}

/// What stands in for an object of a kind. `spec` is that of the document, if it was kept.
pub(super) fn stand_in(kind: Kind, mut meta: Meta, spec: Option<&Value>) -> AnyObject {
    let (scope, unread) = match spec.map(|spec| read_message::<Scope>(spec.clone())) {
        Some(Ok((scope, _))) => (scope, Unread::Content),
        Some(Err(_)) | None => (Scope::default(), Unread::Scope),
    };
    let Scope { selector, target_ref, target_refs } = scope;
    match kind {
        Kind::AuthorizationPolicy => {
            if !may_be_tried(spec) {
                meta.annotations.remove(DRY_RUN);
            }
            let action = AuthorizationAction::Deny;
            let rules = vec![AuthorizationRule::default()];
            let spec = AuthorizationPolicy {
                selector,
                target_ref,
                target_refs,
                rules,
                action,
                provider: None,
                unread,
            };
            AnyObject::AuthorizationPolicy(Object { meta, spec }.into())
        }
        Kind::RequestAuthentication => {
            let spec =
                RequestAuthentication { selector, target_ref, target_refs, jwt_rules: Vec::new(), unread };
            AnyObject::RequestAuthentication(Object { meta, spec }.into())
        }
        Kind::PeerAuthentication => {
            let mtls = Some(MutualTls { mode: MutualTlsMode::Strict });
            let spec = PeerAuthentication { selector, mtls, unread, ..PeerAuthentication::default() };
            AnyObject::PeerAuthentication(Object { meta, spec }.into())
        }
        _ => AnyObject::NotServed(kind, Box::new(meta)),
    }
}

/// Whether an AuthorizationPolicy does something that can be tried out: allow or deny.
fn may_be_tried(spec: Option<&Value>) -> bool {
    let action = spec.and_then(|spec| read_message::<Action>(spec.clone()).ok());
    action.is_some_and(|(Action { action }, _)| {
        matches!(action, AuthorizationAction::Allow | AuthorizationAction::Deny)
    })
}

impl AnyObject {
    /// What follows from an object that stands in for one that cannot be read, for the operator to read; none for any
    /// other object.
    pub fn consequence(&self) -> Option<&'static str> {
        let (unread, of_known, of_any) = match self {
            Self::AuthorizationPolicy(policy) => (
                policy.spec.unread,
                "all that reaches the workloads that it is for is denied",
                "all that reaches the namespace's workloads is denied, since it cannot be read for which it is",
            ),
            Self::RequestAuthentication(policy) => (
                policy.spec.unread,
                "all HTTP requests to the workloads that it is for are refused",
                "all HTTP requests to the namespace's workloads are refused, since it cannot be read for which it is",
            ),
            Self::PeerAuthentication(policy) => (
                policy.spec.unread,
                "the workloads that it is for take mutual TLS only",
                "the namespace's workloads take mutual TLS only, since it cannot be read for which it is",
            ),
            _ => return None,
        };
        match unread {
            Unread::Nothing => None,
            Unread::Content => Some(of_known),
            Unread::Scope => Some(of_any),
        }
    }
}

#[cfg(test)]
mod tests;
