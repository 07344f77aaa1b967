//! Builds the filter that verifies tokens.

use std::collections::BTreeSet;

use envoy::config::core::v3::{DataSource, HttpUri, data_source::Specifier, http_uri::HttpUpstreamType};
use envoy::config::route::v3::{RouteMatch, route_match::PathSpecifier};
use envoy::extensions::filters::http::jwt_authn::v3 as filter;
use envoy::google::protobuf;
use filter::jwt_provider::{JwksSourceSpecifier, NormalizePayload};
use filter::jwt_requirement::RequiresType;
use filter::requirement_rule::RequirementType;
use filter::{JwtAuthentication, JwtProvider, JwtRequirement};

use super::{Jwt, Keys, Provider, keys};

/// The name of the filter, and of the metadata that it writes.
pub(crate) const NAME: &str = "envoy.filters.http.jwt_authn";
/// Where in the metadata the claims of a token stand: AuthorizationPolicies and routes look there.
const PAYLOAD: &str = "payload";
/// Claims that always are lists separated by spaces.
const LISTS: [&str; 2] = ["permission", "scope"];
/// How long a proxy keeps keys that it fetched, in seconds.
const CACHE_SECONDS: i64 = 300;
/// The longest time that Envoy takes for a fetch, in seconds.
const LONGEST_FETCH: u64 = u32::MAX as u64;

impl Jwt {
    /// The configuration of the filter.
    pub(crate) fn build(&self) -> JwtAuthentication {
        if self.refuses {
            return refusal();
        }
        let named = || (0..self.providers.len()).map(|index| format!("origins-{index}"));
        let providers = named().zip(self.providers.iter().map(|p| p.build(self.clear_route_cache)));
        JwtAuthentication {
            providers: providers.collect(),
            bypass_cors_preflight: true,
            rules: vec![everywhere(requirement(named().collect()))],
            ..JwtAuthentication::default()
        }
    }
}

/// One provider: its token or none. Of several, one that is good, or for each its token or none: the former because
/// tokens of different issuers may come in one place, where all but one provider refuse them.
fn requirement(names: Vec<String>) -> JwtRequirement {
    let optional = |name: &String| any(vec![provider(name), missing()]);
    if let [name] = names.as_slice() {
        return optional(name);
    }
    let each = RequiresType::RequiresAll(filter::JwtRequirementAndList {
        requirements: names.iter().map(optional).collect(),
    });
    any(names.iter().map(|name| provider(name)).chain([requires(each)]).collect())
}

/// No request is let through: a token is needed, and none is good.
fn refusal() -> JwtAuthentication {
    let name = "refused".to_owned();
    let nobody = JwtProvider { jwks_source_specifier: Some(local(keys::NOBODY)), ..JwtProvider::default() };
    JwtAuthentication {
        rules: vec![everywhere(provider(&name))],
        providers: [(name, nobody)].into(),
        ..JwtAuthentication::default()
    }
}

fn everywhere(requirement: JwtRequirement) -> filter::RequirementRule {
    filter::RequirementRule {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        requirement_type: Some(RequirementType::Requires(requirement)),
    }
}

fn requires(what: RequiresType) -> JwtRequirement {
    JwtRequirement { requires_type: Some(what) }
}

fn any(requirements: Vec<JwtRequirement>) -> JwtRequirement {
    requires(RequiresType::RequiresAny(filter::JwtRequirementOrList { requirements }))
}

fn provider(name: &str) -> JwtRequirement {
    requires(RequiresType::ProviderName(name.to_owned()))
}

fn missing() -> JwtRequirement {
    requires(RequiresType::AllowMissing(protobuf::Empty::default()))
}

impl Provider {
    fn build(&self, clear_route_cache: bool) -> JwtProvider {
        let rule = &self.rule;
        let header = |h: &api::istio::JwtHeader| filter::JwtHeader {
            name: h.name.clone(),
            value_prefix: h.prefix.clone(),
        };
        let claim = |c: &api::istio::ClaimToHeader| filter::JwtClaimToHeader {
            header_name: c.header.clone(),
            claim_name: c.claim.clone(),
            ..filter::JwtClaimToHeader::default()
        };
        let said = rule.space_delimited_claims.iter().map(String::as_str);
        let lists: BTreeSet<&str> = said.chain(LISTS).collect();
        JwtProvider {
            issuer: rule.issuer.clone(),
            audiences: rule.audiences.clone(),
            forward: rule.forward_original_token,
            forward_payload_header: rule.output_payload_to_header.clone(),
            from_headers: rule.from_headers.iter().map(header).collect(),
            from_params: rule.from_params.clone(),
            from_cookies: rule.from_cookies.clone(),
            claim_to_headers: rule.output_claim_to_headers.iter().map(claim).collect(),
            payload_in_metadata: PAYLOAD.to_owned(),
            normalize_payload_in_metadata: Some(NormalizePayload {
                space_delimited_claims: lists.into_iter().map(str::to_owned).collect(),
            }),
            clear_route_cache,
            jwks_source_specifier: Some(self.keys.build()),
            ..JwtProvider::default()
        }
    }
}

impl Keys {
    fn build(&self) -> JwksSourceSpecifier {
        let Self::Remote { uri, cluster, timeout } = self else {
            return local(if let Self::Set(set) = self { set } else { keys::NOBODY });
        };
        let timeout = (*timeout).min(std::time::Duration::from_secs(LONGEST_FETCH));
        let http_uri = HttpUri {
            uri: uri.clone(),
            http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.clone())),
            timeout: Some(timeout.into()),
        };
        JwksSourceSpecifier::RemoteJwks(filter::RemoteJwks {
            http_uri: Some(http_uri),
            cache_duration: Some(protobuf::Duration { seconds: CACHE_SECONDS, ..Default::default() }),
            ..filter::RemoteJwks::default()
        })
    }
}

fn local(set: &str) -> JwksSourceSpecifier {
    JwksSourceSpecifier::LocalJwks(DataSource {
        specifier: Some(Specifier::InlineString(set.to_owned())),
        ..DataSource::default()
    })
}
