//! Which route of a virtual host a request takes: the first that fits.
//!
//! Source: `RouteMatch` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>.

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::RuntimeFractionalPercent;
use envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, Route, RouteMatch};
use envoy::r#type::v3::FractionalPercent;
use envoy::r#type::v3::fractional_percent::DenominatorType;

use super::super::{Request, known, matcher};

const USED: &[&str] = &[
    "prefix",
    "path",
    "safe_regex",
    "path_separated_prefix",
    "case_sensitive",
    "runtime_fraction",
    "headers",
    "query_parameters",
    "grpc",
];

/// The routes that the request may take, with their shares; none in place of a route if none fits.
pub(super) fn choose<'a>(routes: &'a [Route], request: &Request) -> Result<Vec<(f64, Option<&'a Route>)>> {
    let mut left = 1.0;
    let mut chosen = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let place = || format!("route {index} {:?}", route.name);
        let wanted = route.r#match.as_ref().context("no match").with_context(place)?;
        if !fits(wanted, request).with_context(place)? {
            continue;
        }
        let taken = left * wanted.runtime_fraction.as_ref().map_or(1.0, fraction);
        if taken > 0.0 {
            chosen.push((taken, Some(route)));
        }
        left -= taken;
        if left <= 0.0 {
            return Ok(chosen);
        }
    }
    chosen.push((left, None));
    Ok(chosen)
}

/// A share, 0 to 1, without what a runtime key may change.
pub(super) fn fraction(of: &RuntimeFractionalPercent) -> f64 {
    of.default_value.as_ref().map_or(0.0, percent)
}

/// A share, 0 to 1.
pub(super) fn percent(of: &FractionalPercent) -> f64 {
    let parts = match of.denominator() {
        DenominatorType::Hundred => 100.0,
        DenominatorType::TenThousand => 10_000.0,
        DenominatorType::Million => 1_000_000.0,
    };
    (f64::from(of.numerator) / parts).min(1.0)
}

fn fits(wanted: &RouteMatch, request: &Request) -> Result<bool> {
    known::only(wanted, USED, &[])?;
    let grpc = request.value("content-type").unwrap_or_default();
    if wanted.grpc.is_some() && !(grpc == "application/grpc" || grpc.starts_with("application/grpc+")) {
        return Ok(false);
    }
    Ok(path(wanted, request)?
        && wanted.headers.iter().try_fold(true, |all, m| anyhow::Ok(all && header(m, request)?))?
        && wanted.query_parameters.iter().try_fold(true, |all, m| anyhow::Ok(all && query(m, request)?))?)
}

fn path(wanted: &RouteMatch, request: &Request) -> Result<bool> {
    let exact_case = wanted.case_sensitive.is_none_or(|b| b.value);
    let fold = |text: &str| if exact_case { text.to_owned() } else { text.to_lowercase() };
    let path = fold(request.plain_path());
    Ok(match &wanted.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => path.starts_with(&fold(prefix)),
        Some(PathSpecifier::Path(whole)) => path == fold(whole),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
            path.strip_prefix(&fold(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some(PathSpecifier::SafeRegex(regex)) => matcher::whole(regex, request.plain_path())?,
        other => bail!("the simulator does not know the path {other:?}"),
    })
}

/// Whether a header fits; also what faults and RBAC ask of headers. One that was sent more than once fits by any of its
/// values, and never by all of them joined; inverted, by none of them (Envoy 1.39 and later; in RBAC since CVE-2026-26308).
pub(in super::super) fn header(wanted: &HeaderMatcher, request: &Request) -> Result<bool> {
    known::only(wanted, HEADER_FIELDS, &[]).with_context(|| format!("header {}", wanted.name))?;
    let name = wanted.name.to_lowercase();
    let mut values = request.values(&name);
    if values.is_empty() && wanted.treat_missing_header_as_empty {
        values.push("");
    }
    let fits = match &wanted.header_match_specifier {
        // Presence is asked for, or absence.
        None => !values.is_empty(),
        Some(HeaderMatchSpecifier::PresentMatch(present)) => values.is_empty() != *present,
        // What is not there fits nothing, inverted or not.
        Some(_) if values.is_empty() => return Ok(false),
        Some(asked) => {
            values.into_iter().try_fold(false, |any, v| anyhow::Ok(any || value_fits(asked, v)?))?
        }
    };
    Ok(fits != wanted.invert_match)
}

fn value_fits(asked: &HeaderMatchSpecifier, value: &str) -> Result<bool> {
    Ok(match asked {
        HeaderMatchSpecifier::StringMatch(text) => matcher::text(text, value)?,
        HeaderMatchSpecifier::SafeRegexMatch(regex) => matcher::whole(regex, value)?,
        HeaderMatchSpecifier::ExactMatch(text) => value == text,
        HeaderMatchSpecifier::PrefixMatch(text) => value.starts_with(text),
        HeaderMatchSpecifier::SuffixMatch(text) => value.ends_with(text),
        HeaderMatchSpecifier::ContainsMatch(text) => value.contains(text),
        HeaderMatchSpecifier::RangeMatch(range) => {
            value.parse::<i64>().is_ok_and(|v| (range.start..range.end).contains(&v))
        }
        HeaderMatchSpecifier::PresentMatch(_) => bail!("presence is no value"),
    })
}

const HEADER_FIELDS: &[&str] = &[
    "name",
    "invert_match",
    "treat_missing_header_as_empty",
    "present_match",
    "string_match",
    "safe_regex_match",
    "exact_match",
    "prefix_match",
    "suffix_match",
    "contains_match",
    "range_match",
];

fn query(wanted: &QueryParameterMatcher, request: &Request) -> Result<bool> {
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    // The first of several values counts.
    let value = pairs.filter(|(name, _)| *name == wanted.name).map(|(_, value)| value).next();
    Ok(match (&wanted.query_parameter_match_specifier, value) {
        (None, value) => value.is_some(),
        (Some(QueryParameterMatchSpecifier::PresentMatch(present)), value) => value.is_some() == *present,
        (Some(QueryParameterMatchSpecifier::StringMatch(text)), Some(value)) => matcher::text(text, value)?,
        (Some(QueryParameterMatchSpecifier::StringMatch(_)), None) => false,
    })
}
