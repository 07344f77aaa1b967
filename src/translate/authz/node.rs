//! Permissions and principals are trees of the same form: all of, any of, not, anything.

use envoy::config::rbac::v3::{Permission, Principal, permission, principal};

/// A node of such a tree.
pub(super) trait Node: Sized {
    /// It always matches.
    fn anything() -> Self;
    /// All must match.
    fn all(nodes: Vec<Self>) -> Self;
    /// One must match.
    fn any(nodes: Vec<Self>) -> Self;
    /// It must not match.
    fn not(node: Self) -> Self;
}

impl Node for Permission {
    fn anything() -> Self {
        permission(permission::Rule::Any(true))
    }

    fn all(rules: Vec<Self>) -> Self {
        permission(permission::Rule::AndRules(permission::Set { rules }))
    }

    fn any(rules: Vec<Self>) -> Self {
        permission(permission::Rule::OrRules(permission::Set { rules }))
    }

    fn not(node: Self) -> Self {
        permission(permission::Rule::NotRule(Box::new(node)))
    }
}

impl Node for Principal {
    fn anything() -> Self {
        principal(principal::Identifier::Any(true))
    }

    fn all(ids: Vec<Self>) -> Self {
        principal(principal::Identifier::AndIds(principal::Set { ids }))
    }

    fn any(ids: Vec<Self>) -> Self {
        principal(principal::Identifier::OrIds(principal::Set { ids }))
    }

    fn not(node: Self) -> Self {
        principal(principal::Identifier::NotId(Box::new(node)))
    }
}

/// A permission of one rule.
pub(super) fn permission(rule: permission::Rule) -> Permission {
    Permission { rule: Some(rule) }
}

/// A principal of one identifier.
pub(super) fn principal(identifier: principal::Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}
