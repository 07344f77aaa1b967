//! AuthorizationPolicy (`security.istio.io`): who may do what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MatchLabels, PolicyTargetReference, Unread};
use crate::schema::{at_most_one, cel, one_of, required};

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("selector, targetRef, targetRefs"))]
#[schemars(transform = one_of("provider"))]
pub struct AuthorizationPolicy {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// The target. Deprecated for `targetRefs`.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of a selector.
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Rules, of which any must match. None never matches, which with ALLOW denies all.
    #[schemars(length(max = 512))]
    pub rules: Vec<AuthorizationRule>,
    /// What becomes of requests that match.
    pub action: AuthorizationAction,
    /// The external authorizer (CUSTOM only).
    pub provider: Option<AuthorizationProvider>,
    /// What decoding could not read: not [`Unread::Nothing`] in what stands in for a policy.
    #[serde(skip)]
    pub unread: Unread,
}

/// What becomes of requests that match.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthorizationAction {
    /// Allowed; others are not.
    #[default]
    Allow,
    /// Denied.
    Deny,
    /// Written down.
    Audit,
    /// An external authorizer decides.
    Custom,
}

/// An external authorizer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationProvider {
    /// Its name among the mesh's `extensionProviders`.
    pub name: String,
}

/// Requests from someone, to do something, under conditions. What is absent always matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationRule {
    /// Any of these must match; empty matches all.
    #[schemars(length(max = 512))]
    pub from: Vec<RuleFrom>,
    /// Any of these must match; empty matches all.
    pub to: Vec<RuleTo>,
    /// All of these must hold.
    pub when: Vec<Condition>,
}

/// A source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleFrom {
    /// The source.
    pub source: Option<Source>,
}

/// A set of clients; all that is given must hold. Values may begin or end with `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(
    "service accounts exclude namespaces and principals",
    "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) && \
     !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
))]
pub struct Source {
    /// Identities, `trust-domain/ns/NAMESPACE/sa/ACCOUNT`.
    pub principals: Vec<String>,
    /// Identities that must not match.
    pub not_principals: Vec<String>,
    /// Token identities, `issuer/subject`.
    pub request_principals: Vec<String>,
    /// Token identities that must not match.
    pub not_request_principals: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Namespaces that must not match.
    pub not_namespaces: Vec<String>,
    /// Service accounts, `namespace/name` or `name` of the policy's namespace.
    #[schemars(length(max = 16), inner(length(max = 320)))]
    pub service_accounts: Vec<String>,
    /// Service accounts that must not match.
    #[schemars(length(max = 16), inner(length(max = 320)))]
    pub not_service_accounts: Vec<String>,
    /// Trust domains.
    pub trust_domains: Vec<String>,
    /// Trust domains that must not match.
    pub not_trust_domains: Vec<String>,
    /// Addresses of the peer of the connection, with an optional prefix length.
    pub ip_blocks: Vec<String>,
    /// Addresses that must not match.
    pub not_ip_blocks: Vec<String>,
    /// Addresses of the original client, by `X-Forwarded-For` or the PROXY protocol.
    pub remote_ip_blocks: Vec<String>,
    /// Addresses of the original client that must not match.
    pub not_remote_ip_blocks: Vec<String>,
}

/// An operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleTo {
    /// The operation.
    pub operation: Option<Operation>,
}

/// A set of operations; all that is given must hold. Values may begin or end with `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// Authorities.
    pub hosts: Vec<String>,
    /// Authorities that must not match.
    pub not_hosts: Vec<String>,
    /// Ports of the connection.
    pub ports: Vec<String>,
    /// Ports that must not match.
    pub not_ports: Vec<String>,
    /// HTTP methods.
    pub methods: Vec<String>,
    /// HTTP methods that must not match.
    pub not_methods: Vec<String>,
    /// Paths; may be templates with `{*}` and `{**}`.
    pub paths: Vec<String>,
    /// Paths that must not match.
    pub not_paths: Vec<String>,
}

/// A condition on an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// The attribute, such as `request.headers[x-token]`.
    #[schemars(transform = required)]
    pub key: String,
    /// Values of which one must match.
    pub values: Vec<String>,
    /// Values of which none may match.
    pub not_values: Vec<String>,
}
