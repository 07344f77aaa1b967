//! What a request must be like: matches of a rule in Envoy's form.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`TranslateRouteMatch`); `shared/spec/xds.md` 5.5.

use api::istio::{HttpMatchRequest, StringMatch};
use envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use model::re2;

use super::claims;
use super::text::{self, Wrong};
use crate::routes::default_route::everything;

/// A match in Envoy's form. What is wrong is left out or widened to what is sure to hold whenever the match would,
/// and told: the caller answers such requests with an error. If nothing is left that holds for some requests only, it
/// matches none, for an error must not be the answer to all.
pub(super) fn build(request: &HttpMatchRequest, separated: bool, wrong: &mut Vec<Wrong>) -> RouteMatch {
    let mut result = everything();
    result.case_sensitive = Some((!request.ignore_uri_case).into());
    if let Some(uri) = &request.uri {
        path(uri, separated, &mut result, wrong);
    }
    headers(request, &mut result, wrong);
    for (name, wanted) in &request.query_params {
        let field = format!("queryParams.{name}");
        match query_parameter(name, wanted, &field) {
            Ok(matcher) => result.query_parameters.push(matcher),
            Err(fault) => wrong.push(fault),
        }
    }
    if !wrong.is_empty() && is_unlimited(&result) {
        result.headers.push(no_path());
    }
    result
}

/// Whether every request matches.
fn is_unlimited(matched: &RouteMatch) -> bool {
    let path = matches!(&matched.path_specifier, Some(PathSpecifier::Prefix(p)) if p.is_empty() || p == "/");
    path && matched.headers.is_empty()
        && matched.query_parameters.is_empty()
        && matched.dynamic_metadata.is_empty()
}

/// What no request is like.
fn no_path() -> HeaderMatcher {
    HeaderMatcher {
        name: ":path".to_owned(),
        invert_match: true,
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..HeaderMatcher::default()
    }
}

fn path(uri: &StringMatch, separated: bool, result: &mut RouteMatch, wrong: &mut Vec<Wrong>) {
    let specifier = if let Some(exact) = &uri.exact {
        text::line(exact, "uri.exact").map(PathSpecifier::Path)
    } else if let Some(prefix) = &uri.prefix {
        text::line(prefix, "uri.prefix").and_then(|p| prefixed(p, separated))
    } else if let Some(regex) = &uri.regex {
        text::expression(regex, "uri.regex").map(PathSpecifier::SafeRegex).inspect_err(|_| {
            let sure = re2::literal_prefix(regex);
            if sure.starts_with('/') {
                result.path_specifier = Some(PathSpecifier::Prefix(sure.to_owned()));
            }
        })
    } else {
        return;
    };
    match specifier {
        Ok(specifier) => result.path_specifier = Some(specifier),
        Err(fault) => wrong.push(fault),
    }
}

/// A prefix of characters, or of whole segments of the path.
fn prefixed(prefix: String, separated: bool) -> Result<PathSpecifier, Wrong> {
    match prefix.strip_suffix('/').unwrap_or(&prefix) {
        "" => Ok(PathSpecifier::Prefix(prefix)),
        segments
            if separated
                && (segments.len() < 2 || segments.ends_with('/') || segments.contains(['?', '#'])) =>
        {
            Err(Wrong::new("uri.prefix", format!("`{prefix}` is no prefix of whole segments of a path")))
        }
        segments if separated => Ok(PathSpecifier::PathSeparatedPrefix(segments.to_owned())),
        _ => Ok(PathSpecifier::Prefix(prefix)),
    }
}

fn headers(request: &HttpMatchRequest, result: &mut RouteMatch, wrong: &mut Vec<Wrong>) {
    let with = request.headers.iter().map(|(name, wanted)| (name, wanted, false));
    let without = request.without_headers.iter().map(|(name, wanted)| (name, wanted, true));
    let mut listed: Vec<_> = with.chain(without).collect();
    listed.sort_by_key(|(name, _, _)| *name);
    for (name, wanted, invert) in listed {
        let field = format!("{}.{name}", if invert { "withoutHeaders" } else { "headers" });
        if let Some(path) = claims::path(name) {
            match claims::matcher(&path, wanted, &field) {
                Ok(matcher) => {
                    result
                        .dynamic_metadata
                        .push(envoy::r#type::matcher::v3::MetadataMatcher { invert, ..matcher });
                }
                Err(fault) => wrong.push(fault),
            }
            continue;
        }
        match header(name, wanted, invert, &field) {
            Ok(matcher) => result.headers.push(matcher),
            Err(fault) => wrong.push(fault),
        }
    }
    result.dynamic_metadata.sort_by_key(|claim| claim.invert);
    let parts =
        [(":method", &request.method), (":authority", &request.authority), (":scheme", &request.scheme)];
    for (name, wanted) in parts {
        let Some(wanted) = wanted else { continue };
        match header(name, wanted, false, name.trim_start_matches(':')) {
            Ok(matcher) => result.headers.push(matcher),
            Err(fault) => wrong.push(fault),
        }
    }
}

fn header(name: &str, wanted: &StringMatch, invert: bool, field: &str) -> Result<HeaderMatcher, Wrong> {
    if name.is_empty() {
        return Err(Wrong::new(field, "a header's name must not be empty"));
    }
    let matcher = text::matcher(wanted, field)?;
    Ok(HeaderMatcher {
        name: text::line(name, field)?,
        invert_match: invert,
        treat_missing_header_as_empty: invert && matcher.is_some(),
        header_match_specifier: Some(
            matcher.map_or(HeaderMatchSpecifier::PresentMatch(true), HeaderMatchSpecifier::StringMatch),
        ),
    })
}

fn query_parameter(name: &str, wanted: &StringMatch, field: &str) -> Result<QueryParameterMatcher, Wrong> {
    if name.is_empty() {
        return Err(Wrong::new(field, "a parameter's name must not be empty"));
    }
    let specifier = text::matcher(wanted, field)?
        .map_or(QueryParameterMatchSpecifier::PresentMatch(true), QueryParameterMatchSpecifier::StringMatch);
    Ok(QueryParameterMatcher {
        name: text::line(name, field)?,
        query_parameter_match_specifier: Some(specifier),
    })
}
