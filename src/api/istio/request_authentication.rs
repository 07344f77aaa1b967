//! RequestAuthentication (`security.istio.io`): which tokens of requests are verified.

use serde::{Deserialize, Serialize};

use super::{MatchLabels, PolicyTargetReference};
use crate::scalar::Duration;

/// Which tokens (JWT) of requests are verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAuthentication {
    /// Workloads; absent means all of the namespace, or of the mesh in the root namespace.
    pub selector: Option<MatchLabels>,
    /// The target. Deprecated for `target_refs`.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of a selector.
    pub target_refs: Vec<PolicyTargetReference>,
    /// Rules; a request that satisfies one is authenticated, one with a bad token is refused.
    pub jwt_rules: Vec<JwtRule>,
}

/// How tokens of one issuer are found and verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtRule {
    /// `iss`.
    pub issuer: String,
    /// Accepted `aud`; empty accepts all.
    pub audiences: Vec<String>,
    /// Where the issuer's keys are; empty means found by OpenID discovery.
    pub jwks_uri: String,
    /// The issuer's keys; excludes `jwks_uri`.
    pub jwks: String,
    /// Headers that carry the token; empty with the other places empty means `Authorization: Bearer` and `access_token`.
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that carry the token.
    pub from_params: Vec<String>,
    /// Cookies that carry the token.
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
    pub space_delimited_claims: Vec<String>,
}

/// A header that carries a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtHeader {
    /// Its name.
    pub name: String,
    /// What stands before the token, such as `Bearer `.
    pub prefix: String,
}

/// A header that gets a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// The header.
    pub header: String,
    /// The claim; `.` leads into nested claims.
    pub claim: String,
}
