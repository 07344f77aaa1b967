//! The HTTP filters in front of the router: those that may answer by themselves or change what is answered.
//!
//! Sources: <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/fault_filter>,
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/cors_filter>.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use envoy::config::route::v3::FilterConfig;
use envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier;
use envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy::extensions::filters::http::fault::v3::fault_abort::ErrorType;
use envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy::extensions::filters::network::http_connection_manager::v3::{HttpConnectionManager, HttpFilter};
use envoy::google::protobuf::Any;
use envoy::{Message, Name, type_name, unpack_any};

use super::super::{HeaderEdit, Reply, Request, known, matcher};
use super::route_match::{fraction, header, percent};
use super::{Chosen, status};

const FAULT_USED: &[&str] = &["delay", "abort", "upstream_cluster", "headers"];
const FAULT_INERT: &[&str] = &["max_active_faults", "disable_downstream_cluster_stats"];

/// What comes out of the filters.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed {
    /// Its share.
    pub(super) share: f64,
    /// A filter's own answer.
    pub(super) reply: Option<Reply>,
    /// How long it waits.
    pub(super) delay: Option<Duration>,
    /// What filters do to the answer's headers.
    pub(super) response: Vec<HeaderEdit>,
}

/// Passes a request through the manager's filters.
pub(super) fn pass(
    manager: &HttpConnectionManager,
    chosen: Chosen<'_>,
    request: &Request,
    share: f64,
) -> Result<Vec<Passed>> {
    let mut all = vec![Passed { share, ..Passed::default() }];
    for filter in &manager.http_filters {
        let place = || format!("HTTP filter {}", filter.name);
        let Some(ConfigType::TypedConfig(config)) = &filter.config_type else {
            bail!("{} has no configuration", place());
        };
        if filter.disabled {
            bail!("{}: the simulator does not know filters that routes switch on", place());
        }
        let mut next = Vec::new();
        for passed in all {
            if passed.reply.is_some() {
                next.push(passed);
            } else {
                next.extend(one(filter, config, chosen, request, passed).with_context(place)?);
            }
        }
        all = next;
    }
    Ok(all)
}

fn one(
    filter: &HttpFilter,
    config: &Any,
    chosen: Chosen<'_>,
    request: &Request,
    passed: Passed,
) -> Result<Vec<Passed>> {
    Ok(match type_name(&config.type_url) {
        "envoy.extensions.filters.http.fault.v3.HTTPFault" => {
            let own: HttpFault = unpack_any(config)?;
            let fault = of_route(filter, chosen)?.unwrap_or(own);
            faults(&fault, chosen, request, passed)?
        }
        "envoy.extensions.filters.http.cors.v3.Cors" => match of_route(filter, chosen)? {
            Some(policy) => vec![cors(&policy, request, passed)?],
            None => vec![passed],
        },
        // They have had their say before routes were chosen, and what they say stays.
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
        | "envoy.extensions.filters.http.rbac.v3.RBAC"
        | "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" => {
            if chosen.settings(&filter.name).next().is_some() {
                bail!("the simulator does not know what routes say of it");
            }
            vec![passed]
        }
        // They count, translate bodies, keep to endpoints, or resolve what the cluster's type has resolved.
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"
        | "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"
        | "envoy.extensions.filters.http.stateful_session.v3.StatefulSession"
        | "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig"
        | "envoy.extensions.filters.http.router.v3.Router" => vec![passed],
        unknown => bail!("the simulator does not know {unknown}"),
    })
}

/// What the route, its virtual host or its configuration says of a filter; the first of them counts.
fn of_route<M: Message + Name + Default>(filter: &HttpFilter, chosen: Chosen<'_>) -> Result<Option<M>> {
    let Some(found) = chosen.settings(&filter.name).next() else { return Ok(None) };
    if type_name(&found.type_url) == FilterConfig::full_name() {
        bail!("the simulator does not know filters that routes switch off");
    }
    Ok(Some(unpack_any(found)?))
}

fn faults(fault: &HttpFault, chosen: Chosen<'_>, request: &Request, passed: Passed) -> Result<Vec<Passed>> {
    known::only(fault, FAULT_USED, FAULT_INERT)?;
    if !fault.upstream_cluster.is_empty() {
        bail!("route {:?}: the simulator does not know faults of a cluster", chosen.route.name);
    }
    if !fault.headers.iter().try_fold(true, |all, m| anyhow::Ok(all && header(m, request)?))? {
        return Ok(vec![passed]);
    }
    let delayed = match &fault.delay {
        None => vec![passed],
        Some(delay) => {
            let Some(FaultDelaySecifier::FixedDelay(span)) = &delay.fault_delay_secifier else {
                bail!("the simulator does not know delays that requests ask for");
            };
            let (hit, missed) = split(passed, delay.percentage.as_ref().map_or(0.0, percent));
            let hit = hit.map(|p| Passed { delay: span.to_std(), ..p });
            hit.into_iter().chain(missed).collect()
        }
    };
    let Some(abort) = &fault.abort else { return Ok(delayed) };
    let reply = match &abort.error_type {
        Some(ErrorType::HttpStatus(code)) => {
            Reply { body: "fault filter abort".to_owned(), ..status(u16::try_from(*code)?) }
        }
        Some(ErrorType::GrpcStatus(code)) => {
            Reply { headers: vec![("grpc-status".to_owned(), code.to_string())], ..status(200) }
        }
        other => bail!("the simulator does not know the abort {other:?}"),
    };
    let share = abort.percentage.as_ref().map_or(0.0, percent);
    let aborted = delayed.into_iter().flat_map(|passed| {
        let (hit, missed) = split(passed, share);
        hit.map(|p| Passed { reply: Some(reply.clone()), ..p }).into_iter().chain(missed)
    });
    Ok(aborted.collect())
}

/// The part that a share hits, and the rest.
fn split(passed: Passed, share: f64) -> (Option<Passed>, Option<Passed>) {
    let part = |of: f64| (of > 0.0).then(|| Passed { share: passed.share * of, ..passed.clone() });
    (part(share), part(1.0 - share))
}

fn cors(policy: &CorsPolicy, request: &Request, passed: Passed) -> Result<Passed> {
    let used = [
        "allow_origin_string_match",
        "allow_methods",
        "allow_headers",
        "expose_headers",
        "max_age",
        "allow_credentials",
        "filter_enabled",
        "forward_not_matching_preflights",
    ];
    known::only(policy, &used, &[])?;
    let enabled = policy.filter_enabled.as_ref().map_or(1.0, fraction);
    let Some(origin) = request.value("origin").filter(|_| enabled >= 1.0) else { return Ok(passed) };
    let preflight = request.method == "OPTIONS" && request.value("access-control-request-method").is_some();
    let allowed = policy
        .allow_origin_string_match
        .iter()
        .try_fold(false, |any, m| anyhow::Ok(any || matcher::text(m, &origin)?))?;
    if !allowed {
        let forwarded = policy.forward_not_matching_preflights.is_none_or(|b| b.value);
        let reply = (preflight && !forwarded).then(|| status(200));
        return Ok(Passed { reply, ..passed });
    }
    let mut headers = vec![("access-control-allow-origin", origin)];
    if policy.allow_credentials.is_some_and(|b| b.value) {
        headers.push(("access-control-allow-credentials", "true".to_owned()));
    }
    if preflight {
        headers.push(("access-control-allow-methods", policy.allow_methods.clone()));
        headers.push(("access-control-allow-headers", policy.allow_headers.clone()));
        headers.push(("access-control-max-age", policy.max_age.clone()));
    } else {
        headers.push(("access-control-expose-headers", policy.expose_headers.clone()));
    }
    let set = headers.into_iter().filter(|(_, value)| !value.is_empty());
    let set = set.map(|(name, value)| (name.to_owned(), value));
    if preflight {
        return Ok(Passed { reply: Some(Reply { headers: set.collect(), ..status(200) }), ..passed });
    }
    let mut response = passed.response;
    response.extend(set.map(|(name, value)| HeaderEdit::Set(name, value)));
    Ok(Passed { response, ..passed })
}
