//! Requests that a route sends on: to which clusters, changed how.
//!
//! Source: `RouteAction` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HashPolicy, HostRewriteSpecifier,
};
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::config::route::v3::weighted_cluster::{ClusterWeight, cluster_weight};
use envoy::config::route::v3::{RouteAction, RouteMatch};
use envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use super::super::cluster::{self, Bound, Nowhere};
use super::super::resources::Resources;
use super::super::{Call, Chance, Forwarded, Outcome, Request, known, limits, matcher};
use super::filters::Passed;
use super::route_match::fraction;
use super::{Chosen, edits, reply, status};

const USED: &[&str] = &[
    "cluster",
    "cluster_header",
    "weighted_clusters",
    "cluster_not_found_response_code",
    "prefix_rewrite",
    "regex_rewrite",
    "append_x_forwarded_host",
    "host_rewrite_literal",
    "host_rewrite_header",
    "timeout",
    "retry_policy",
    "request_mirror_policies",
    "hash_policy",
];
const INERT: &[&str] = &[
    "idle_timeout",
    "max_grpc_timeout",
    "max_stream_duration",
    "upgrade_configs",
    "priority",
    "rate_limits",
];
const WEIGHTED: &[&str] = &[
    "name",
    "weight",
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
    "host_rewrite_literal",
];
/// The limit of an answer where a route sets none.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where a request that passed the filters goes.
pub(super) fn run(
    resources: &Resources,
    chosen: Chosen<'_>,
    action: &RouteAction,
    call: &Call,
    request: &Request,
    passed: &Passed,
) -> Result<Vec<Chance>> {
    known::only(action, USED, INERT)?;
    let send = |name: &str, share: f64, weighted: Option<&ClusterWeight>| -> Result<Chance> {
        let names = [chosen.host.name.as_str(), chosen.route.name.as_str()];
        let bound = Bound { call, request: Some(request), sni_port: None, announced: None };
        let own = match cluster::upstreams(resources, name, bound)? {
            Ok(upstreams) => {
                let sent = forwarded(chosen, action, request, passed, weighted)?;
                let limits = limits::of(resources, name)?;
                let sent = Forwarded { cluster: name.to_owned(), upstreams, limits, ..sent };
                let outcome = Outcome::Forwarded(Box::new(sent));
                let [host, route] = names.map(str::to_owned);
                return Ok(Chance { share, virtual_host: host, route, outcome });
            }
            Err(Nowhere::NoHealthyUpstream) => {
                super::Reply { body: "no healthy upstream".to_owned(), ..status(503) }
            }
            Err(Nowhere::Unknown) => match action.cluster_not_found_response_code() {
                ClusterNotFoundResponseCode::ServiceUnavailable => status(503),
                ClusterNotFoundResponseCode::NotFound => status(404),
                ClusterNotFoundResponseCode::InternalServerError => status(500),
            },
        };
        Ok(reply(request, share, names, own))
    };
    match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => Ok(vec![send(name, passed.share, None)?]),
        Some(ClusterSpecifier::ClusterHeader(header)) => {
            let name = request.value(&header.to_lowercase()).unwrap_or_default();
            Ok(vec![send(&name, passed.share, None)?])
        }
        Some(ClusterSpecifier::WeightedClusters(several)) => {
            known::only(several, &["clusters"], &["total_weight"])?;
            let weight = |c: &ClusterWeight| c.weight.map_or(0.0, |w| f64::from(w.value));
            let total: f64 = several.clusters.iter().map(weight).sum();
            let taken = several.clusters.iter().filter(|c| weight(c) > 0.0);
            taken
                .map(|c| {
                    known::only(c, WEIGHTED, &[]).with_context(|| format!("cluster {}", c.name))?;
                    send(&c.name, passed.share * weight(c) / total, Some(c))
                })
                .collect()
        }
        other => bail!("the simulator does not know the cluster {other:?}"),
    }
}

fn forwarded(
    chosen: Chosen<'_>,
    action: &RouteAction,
    request: &Request,
    passed: &Passed,
    weighted: Option<&ClusterWeight>,
) -> Result<Forwarded> {
    let mut request = request.clone();
    edits::apply(&edits::request(chosen, weighted)?, &mut request)?;
    rewrite_host(action, weighted, &mut request)?;
    rewrite_path(chosen, action, &mut request)?;
    let mut response = passed.response.clone();
    response.extend(edits::response(chosen, weighted)?);
    let retries = action.retry_policy.as_ref().or(chosen.host.retry_policy.as_ref());
    let timeout = match &action.timeout {
        None => Some(TIMEOUT),
        Some(limit) => limit.to_std().filter(|limit| !limit.is_zero()),
    };
    let mirrors = action.request_mirror_policies.iter().map(|mirror| {
        known::only(
            mirror,
            &["cluster", "runtime_fraction"],
            &["disable_shadow_host_suffix_append", "trace_sampled"],
        )?;
        Ok((mirror.cluster.clone(), mirror.runtime_fraction.as_ref().map_or(1.0, fraction)))
    });
    Ok(Forwarded {
        request: Some(request),
        response,
        timeout,
        retries: retries.map(|r| (r.retry_on.clone(), r.num_retries.map_or(1, |n| n.value))),
        delay: passed.delay,
        mirrors: mirrors.collect::<Result<_>>()?,
        hashed_by: action.hash_policy.iter().map(hashed_by).collect::<Result<_>>()?,
        ..Forwarded::default()
    })
}

fn rewrite_host(action: &RouteAction, weighted: Option<&ClusterWeight>, request: &mut Request) -> Result<()> {
    let before = request.authority.clone();
    if let Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host)) =
        weighted.and_then(|c| c.host_rewrite_specifier.as_ref())
    {
        request.authority.clone_from(host);
    }
    match &action.host_rewrite_specifier {
        None => {}
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => request.authority.clone_from(host),
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
            if let Some(host) = request.value(&name.to_lowercase()) {
                request.authority = host;
            }
        }
        Some(other) => bail!("the simulator does not know the host {other:?}"),
    }
    if action.append_x_forwarded_host && request.authority != before {
        request.headers.push(("x-forwarded-host".to_owned(), before));
    }
    Ok(())
}

fn rewrite_path(chosen: Chosen<'_>, action: &RouteAction, request: &mut Request) -> Result<()> {
    if let Some(rewrite) = &action.regex_rewrite {
        request.path = by_regex(rewrite, &request.path)?;
    } else if !action.prefix_rewrite.is_empty() {
        request.path = with_prefix(chosen.route.r#match.as_ref(), &action.prefix_rewrite, &request.path)?;
    }
    Ok(())
}

/// The path with what the route matched replaced: the prefix, or all but the query.
pub(super) fn with_prefix(matched: Option<&RouteMatch>, to: &str, path: &str) -> Result<String> {
    let matched = match matched.and_then(|m| m.path_specifier.as_ref()) {
        Some(PathSpecifier::Prefix(prefix) | PathSpecifier::PathSeparatedPrefix(prefix)) => prefix.len(),
        Some(PathSpecifier::Path(_) | PathSpecifier::SafeRegex(_)) => {
            path.find(['?', '#']).unwrap_or(path.len())
        }
        other => bail!("the simulator does not know the path {other:?}"),
    };
    Ok(format!("{to}{}", path.get(matched..).unwrap_or_default()))
}

/// The path with all that an expression fits replaced; the query stays.
pub(super) fn by_regex(rewrite: &RegexMatchAndSubstitute, path: &str) -> Result<String> {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    Ok(matcher::replace(rewrite, path)? + query)
}

fn hashed_by(policy: &HashPolicy) -> Result<String> {
    Ok(match &policy.policy_specifier {
        Some(PolicySpecifier::Header(header)) => format!("header {}", header.header_name),
        Some(PolicySpecifier::Cookie(cookie)) => format!("cookie {}", cookie.name),
        Some(PolicySpecifier::ConnectionProperties(_)) => "source address".to_owned(),
        Some(PolicySpecifier::QueryParameter(parameter)) => format!("query parameter {}", parameter.name),
        other => bail!("the simulator does not know the hash {other:?}"),
    })
}
