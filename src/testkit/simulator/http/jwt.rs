//! The filter that verifies tokens: what it refuses, and what it takes out of requests.
//!
//! Source: <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/jwt_authn_filter>; Envoy
//! `source/extensions/filters/http/jwt_authn/verifier.cc`, `extractor.cc`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::extensions::filters::http::jwt_authn::v3 as filter;
use filter::jwt_provider::JwksSourceSpecifier;
use filter::jwt_requirement::RequiresType;
use filter::requirement_rule::RequirementType;
use filter::{JwtAuthentication, JwtProvider, JwtRequirement};
use serde_json::Value;

use super::super::{Request, known};
use crate::tokens::Token;

const USED: &[&str] = &["providers", "rules", "bypass_cors_preflight"];
const PROVIDER_USED: &[&str] =
    &["issuer", "audiences", "forward", "from_headers", "from_params", "from_cookies", "local_jwks"];
/// Routes that look at claims are not known.
const PROVIDER_INERT: &[&str] =
    &["payload_in_metadata", "normalize_payload_in_metadata", "clear_route_cache"];
/// Under which key of its metadata the filter writes claims.
pub(super) const PAYLOAD: &str = "payload";

/// What becomes of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// There is no token.
    Missing,
    /// The token is not good: the status of the answer.
    Bad(u16),
}

/// What the filter makes of a request: the claims of the token that was good, if there is one; else the status of the answer.
pub(super) fn verify(own: &JwtAuthentication, request: &mut Request) -> Result<Result<Option<Value>, u16>> {
    known::only(own, USED, &[])?;
    let preflight = request.method == "OPTIONS"
        && request.value("origin").is_some()
        && request.value("access-control-request-method").is_some();
    if preflight && own.bypass_cors_preflight {
        return Ok(Ok(None));
    }
    let [rule] = own.rules.as_slice() else { bail!("the simulator knows one rule, not {}", own.rules.len()) };
    let everywhere = rule.r#match.as_ref().and_then(|m| m.path_specifier.as_ref());
    if everywhere != Some(&PathSpecifier::Prefix("/".to_owned())) {
        bail!("the simulator knows rules for all paths only");
    }
    let Some(RequirementType::Requires(requirement)) = &rule.requirement_type else {
        bail!("the simulator knows requirements that stand in the rule");
    };
    let mut verdicts = BTreeMap::new();
    let mut taken = Vec::new();
    let mut told = None;
    for (name, provider) in &own.providers {
        let Judged { verdict, headers, claims } =
            judged(provider, request).with_context(|| format!("provider {name}"))?;
        if verdict == Verdict::Good && !provider.forward {
            taken.extend(headers);
        }
        told = told.or(claims);
        verdicts.insert(name.as_str(), verdict);
    }
    Ok(match met(requirement, &verdicts)? {
        Verdict::Good => {
            request.headers.retain(|(name, _)| !taken.contains(name));
            Ok(told)
        }
        Verdict::Missing => Err(401),
        Verdict::Bad(status) => Err(status),
    })
}

/// What a requirement comes to. Of several that fail the one counts that says more than that nothing was there.
fn met(requirement: &JwtRequirement, verdicts: &BTreeMap<&str, Verdict>) -> Result<Verdict> {
    match &requirement.requires_type {
        Some(RequiresType::ProviderName(name)) => {
            verdicts.get(name.as_str()).copied().with_context(|| format!("no provider {name}"))
        }
        Some(RequiresType::RequiresAll(all)) => {
            for one in &all.requirements {
                let verdict = met(one, verdicts)?;
                if verdict != Verdict::Good {
                    return Ok(verdict);
                }
            }
            Ok(Verdict::Good)
        }
        Some(RequiresType::RequiresAny(any)) => {
            let optional =
                |r: &&JwtRequirement| matches!(r.requires_type, Some(RequiresType::AllowMissing(_)));
            let mut worst = Verdict::Missing;
            for one in any.requirements.iter().filter(|r| !optional(r)) {
                match met(one, verdicts)? {
                    Verdict::Good => return Ok(Verdict::Good),
                    Verdict::Missing => {}
                    bad @ Verdict::Bad(_) => worst = bad,
                }
            }
            let missing = worst == Verdict::Missing && any.requirements.iter().any(|r| optional(&r));
            Ok(if missing { Verdict::Good } else { worst })
        }
        other => bail!("the simulator does not know the requirement {other:?}"),
    }
}

/// What a provider says of the request's tokens.
struct Judged {
    verdict: Verdict,
    /// The headers that they stand in.
    headers: Vec<String>,
    /// What the last of them says, if all are good and others are to know.
    claims: Option<Value>,
}

fn judged(provider: &JwtProvider, request: &Request) -> Result<Judged> {
    known::only(provider, PROVIDER_USED, PROVIDER_INERT)?;
    let found = tokens(provider, request);
    let headers = found.iter().filter_map(|(header, _)| header.clone()).collect();
    let (mut verdict, mut claims) = (Verdict::Missing, None);
    for (_, token) in &found {
        verdict = judge(provider, token)?;
        if verdict != Verdict::Good {
            return Ok(Judged { verdict, headers, claims: None });
        }
        claims = Token::read(token).map(|token| with_lists(provider, token.claims));
    }
    Ok(Judged { verdict, headers, claims: claims.filter(|_| provider.payload_in_metadata == PAYLOAD) })
}

/// The claims with those that are lists separated by spaces as lists.
fn with_lists(provider: &JwtProvider, mut claims: Value) -> Value {
    let named = provider.normalize_payload_in_metadata.iter().flat_map(|n| &n.space_delimited_claims);
    for name in named {
        if let Some(claim) = claims.get_mut(name)
            && let Some(text) = claim.as_str()
        {
            *claim = text.split(' ').filter(|word| !word.is_empty()).map(Value::from).collect();
        }
    }
    claims
}

fn judge(provider: &JwtProvider, token: &str) -> Result<Verdict> {
    let Some(token) = Token::read(token) else { return Ok(Verdict::Bad(401)) };
    let claim = |name: &str| token.claims.get(name);
    let issuer = claim("iss").and_then(Value::as_str).unwrap_or_default();
    if !provider.issuer.is_empty() && provider.issuer != issuer {
        return Ok(Verdict::Bad(401));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let at = |name: &str| claim(name).and_then(Value::as_u64);
    if at("exp").is_some_and(|end| end < now) || at("nbf").is_some_and(|start| start > now) {
        return Ok(Verdict::Bad(401));
    }
    let audiences: Vec<&str> = match claim("aud") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        one => one.and_then(Value::as_str).into_iter().collect(),
    };
    if !provider.audiences.is_empty() && !provider.audiences.iter().any(|a| audiences.contains(&a.as_str())) {
        return Ok(Verdict::Bad(403));
    }
    let Some(JwksSourceSpecifier::LocalJwks(keys)) = &provider.jwks_source_specifier else {
        bail!("the simulator does not fetch keys");
    };
    let Some(Specifier::InlineString(keys)) = &keys.specifier else { bail!("the keys stand elsewhere") };
    Ok(if token.is_signed_by(keys)? { Verdict::Good } else { Verdict::Bad(401) })
}

/// The tokens where a provider looks for them, each with the header that it stands in.
fn tokens(provider: &JwtProvider, request: &Request) -> Vec<(Option<String>, String)> {
    let silent = provider.from_headers.is_empty()
        && provider.from_params.is_empty()
        && provider.from_cookies.is_empty();
    let usual = filter::JwtHeader { name: "authorization".to_owned(), value_prefix: "Bearer ".to_owned() };
    let headers = provider.from_headers.iter().chain(silent.then_some(&usual));
    let mut found: Vec<(Option<String>, String)> = Vec::new();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        let value = request.value(&name);
        let token = value.as_deref().and_then(|v| Some(v.split_once(&header.value_prefix)?.1.to_owned()));
        found.extend(token.map(|token| (Some(name), token)));
    }
    let params: Vec<&str> = provider.from_params.iter().map(String::as_str).collect();
    let params = if silent { vec!["access_token"] } else { params };
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    found.extend(pairs(query, '&', &params));
    let cookies: Vec<&str> = provider.from_cookies.iter().map(String::as_str).collect();
    found.extend(pairs(&request.value("cookie").unwrap_or_default(), ';', &cookies));
    found
}

/// The values of those of `names` that are in a list of `name=value`.
fn pairs(list: &str, between: char, names: &[&str]) -> Vec<(Option<String>, String)> {
    let pairs = list.split(between).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| names.contains(name)).map(|(_, value)| (None, value.to_owned())).collect()
}
