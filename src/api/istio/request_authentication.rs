//! RequestAuthentication (`security.istio.io`): which tokens of requests are verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MatchLabels, PolicyTargetReference, Unread};
use crate::scalar::Duration;
use crate::schema::{also_named, at_most_one, cel, required};

/// Which tokens (JWT) of requests are verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = at_most_one("selector, targetRef, targetRefs"))]
pub struct RequestAuthentication {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// The target. Deprecated for `targetRefs`.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of a selector.
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Rules; a request that satisfies one is authenticated, one with a bad token is refused.
    #[schemars(length(max = 4096))]
    pub jwt_rules: Vec<JwtRule>,
    /// What decoding could not read: not [`Unread::Nothing`] in what stands in for a policy.
    #[serde(skip)]
    pub unread: Unread,
}

/// How tokens of one issuer are found and verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = also_named("jwksUri", "jwks_uri"))]
#[schemars(transform = at_most_one("jwksUri, jwks_uri, jwks"))]
pub struct JwtRule {
    /// `iss`.
    #[schemars(length(min = 1))]
    pub issuer: String,
    /// Accepted `aud`; empty accepts all.
    #[schemars(inner(length(min = 1)))]
    pub audiences: Vec<String>,
    /// Where the issuer's keys are; empty means found by OpenID discovery.
    #[schemars(length(min = 1, max = 2048))]
    #[schemars(transform = cel("the URL begins with http:// or https://", r#"url(self).getScheme() in ["http", "https"]"#))]
    pub jwks_uri: String,
    /// The issuer's keys; excludes `jwksUri`.
    pub jwks: String,
    /// Headers that carry the token; empty with the other places empty means `Authorization: Bearer` and `access_token`.
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that carry the token.
    #[schemars(inner(length(min = 1)))]
    pub from_params: Vec<String>,
    /// Cookies that carry the token.
    #[schemars(inner(length(min = 1)))]
    pub from_cookies: Vec<String>,
    /// Header that gets the verified payload, in base64url.
    pub output_payload_to_header: String,
    /// Keep the token in the forwarded request.
    pub forward_original_token: bool,
    /// Headers that get claims.
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// Time to fetch the keys; absent means 5 s.
    pub timeout: Option<Duration>,
    /// Claims that hold several values separated by spaces; `scope` and `permission` always do.
    #[schemars(length(max = 64), inner(length(min = 1)))]
    pub space_delimited_claims: Vec<String>,
}

/// A header that carries a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtHeader {
    /// Its name.
    #[schemars(transform = required, length(min = 1))]
    pub name: String,
    /// What stands before the token, such as `Bearer `.
    pub prefix: String,
}

/// A header that gets a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// The header.
    #[schemars(transform = required, length(min = 1), regex(pattern = "^[-_A-Za-z0-9]+$"))]
    pub header: String,
    /// The claim; `.` leads into nested claims.
    #[schemars(transform = required, length(min = 1))]
    pub claim: String,
}
