//! Requests that are forwarded: to which clusters, rewritten how, tried how often, copied where.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`applyHTTPRouteDestination`); `shared/spec/xds.md` 5.5.

use api::istio::{Destination, HttpRouteDestination};
use envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier,
};
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::config::route::v3::weighted_cluster::{ClusterWeight, cluster_weight};
use envoy::config::route::v3::{Route, RouteAction, RouteMatch, WeightedCluster};
use envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};

use super::build::{Rule, note};
use super::header_operations;
use super::text::{self, Wrong};
use super::{Semantics, Target, mirror};
use crate::routes::hash_policy;
use crate::routes::retry::{self, duration};

/// Builds the action; changes of headers that a single destination asks for go to the route.
pub(super) fn build(
    rule: &Rule<'_>,
    authority: Option<String>,
    route: &mut Route,
    matched: &RouteMatch,
    wrong: &mut Vec<Wrong>,
) -> RouteAction {
    let (set, http) = (rule.set, rule.http);
    let timeout = duration(http.timeout.unwrap_or_default());
    let mut action =
        RouteAction { timeout: Some(timeout), max_grpc_timeout: Some(timeout), ..RouteAction::default() };
    if set.semantics() == Semantics::Gateway {
        action.cluster_not_found_response_code = ClusterNotFoundResponseCode::InternalServerError.into();
    }
    let rewritten = rewrite(rule, matched, &mut action, wrong);
    if let Some(authority) = rewritten.or(authority)
        && let Some(literal) = note(text::line(&authority, "rewrite.authority"), wrong)
    {
        action.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(literal));
    }
    action.request_mirror_policies = mirror::build(http, rule.targets, set.shadow_suffix);
    match http.route.as_slice() {
        [] => wrong.push(Wrong::new("route", "the rule has no destination, redirect or direct response")),
        [only] => single(only, rule.targets.first(), route, &mut action, wrong),
        several => weighted(several, rule.targets, &mut action, wrong),
    }
    let hashed = rule.targets.iter().zip(&http.route).filter(|(_, r)| http.route.len() == 1 || r.weight != 0);
    action.hash_policy =
        hashed.filter_map(|(t, _)| t.hashing.as_deref()).filter_map(hash_policy::build).collect();
    // Also where the rule names no part of the request.
    let sticky = http.route.len() == 1 && rule.targets.first().is_some_and(|t| t.hashing.is_some());
    action.retry_policy = retry::policy(http.retries.as_ref().or(set.retries.as_deref()), sticky);
    action
}

/// Changes of path and authority; the authority comes back.
fn rewrite(
    rule: &Rule<'_>,
    matched: &RouteMatch,
    action: &mut RouteAction,
    wrong: &mut Vec<Wrong>,
) -> Option<String> {
    let rewrite = rule.http.rewrite.as_ref()?;
    action.append_x_forwarded_host = rule.set.append_x_forwarded_host;
    if let Some(by) = &rewrite.uri_regex_rewrite {
        let field = "rewrite.uriRegexRewrite";
        let pattern = note(text::expression(&by.r#match, &format!("{field}.match")), wrong);
        let substitution =
            note(text::line(&by.rewrite, &format!("{field}.rewrite")), wrong).unwrap_or_default();
        action.regex_rewrite = Some(RegexMatchAndSubstitute { pattern, substitution });
    } else if rule.set.semantics() == Semantics::Gateway && rewrite.uri == "/" {
        let prefix = match &matched.path_specifier {
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => prefix.as_str(),
            _ => "",
        };
        action.regex_rewrite = Some(without_prefix(prefix));
    } else {
        action.prefix_rewrite = note(text::line(&rewrite.uri, "rewrite.uri"), wrong).unwrap_or_default();
    }
    Some(rewrite.authority.clone()).filter(|a| !a.is_empty())
}

/// Takes the prefix away. As a replacement by `/` that would leave two slashes.
fn without_prefix(prefix: &str) -> RegexMatchAndSubstitute {
    let mut regex = String::from("^");
    for c in prefix.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            regex.push('\\');
        }
        regex.push(c);
    }
    regex.push_str("(/?)(.*)");
    let pattern = RegexMatcher { regex, engine_type: None };
    RegexMatchAndSubstitute { pattern: Some(pattern), substitution: r"/\2".to_owned() }
}

fn single(
    to: &HttpRouteDestination,
    target: Option<&Target>,
    route: &mut Route,
    action: &mut RouteAction,
    wrong: &mut Vec<Wrong>,
) {
    action.cluster_specifier = Some(ClusterSpecifier::Cluster(cluster(&to.destination, target)));
    let built = header_operations::build(to.headers.as_ref(), "route[0].headers");
    let Some(operations) = note(built, wrong) else { return };
    if let Some(authority) = operations.apply(route) {
        let literal = || HostRewriteSpecifier::HostRewriteLiteral(authority);
        action.host_rewrite_specifier.get_or_insert_with(literal);
    }
}

/// Several destinations, those without a share left out.
fn weighted(
    several: &[HttpRouteDestination],
    targets: &[Target],
    action: &mut RouteAction,
    wrong: &mut Vec<Wrong>,
) {
    let mut clusters = Vec::new();
    let mut total: u32 = 0;
    for (index, to) in several.iter().enumerate().filter(|(_, to)| to.weight != 0) {
        let summed = u32::try_from(to.weight).ok().and_then(|w| Some((w, total.checked_add(w)?)));
        let Some((weight, sum)) = summed else {
            wrong.push(Wrong::new(
                format!("route[{index}].weight"),
                "weights must be positive and their sum below 2^32",
            ));
            continue;
        };
        total = sum;
        let field = format!("route[{index}].headers");
        let Some(operations) = note(header_operations::build(to.headers.as_ref(), &field), wrong) else {
            continue;
        };
        clusters.push(ClusterWeight {
            name: cluster(&to.destination, targets.get(index)),
            weight: Some(weight.into()),
            request_headers_to_add: operations.request_add,
            request_headers_to_remove: operations.request_remove,
            response_headers_to_add: operations.response_add,
            response_headers_to_remove: operations.response_remove,
            host_rewrite_specifier: operations
                .authority
                .map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
            ..ClusterWeight::default()
        });
    }
    if clusters.is_empty() {
        wrong.push(Wrong::new("route", "of several destinations at least one must have a weight"));
    }
    let weighted = WeightedCluster { clusters, ..WeightedCluster::default() };
    action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(weighted));
}

/// The cluster of a destination, whether or not it exists.
pub(super) fn cluster(to: &Destination, target: Option<&Target>) -> String {
    match target {
        Some(target) if !to.host.is_empty() => {
            format!("outbound|{}|{}|{}", target.port, to.subset, target.host(to))
        }
        _ => "UnknownService".to_owned(),
    }
}
