//! Retry policies of routes: the built-in one, the mesh's, and a route's own.
//!
//! Source: Istio `pilot/pkg/networking/core/route/retry/retry.go`; `shared/spec/xds.md` 5.6.

use api::istio::HttpRetry;
use envoy::config::route::v3::RetryPolicy;
use envoy::config::route::v3::retry_policy::{
    RetryBackOff, RetryHostPredicate, RetryPriority, retry_host_predicate, retry_priority,
};
use envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use envoy::google::protobuf::Duration;
use envoy::pack_any;

/// What is retried unless a policy says otherwise.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const STATUS_CODES: &str = "retriable-status-codes";
/// How often another host is chosen when the one chosen was tried before.
const HOST_SELECTION_ATTEMPTS: i64 = 5;
/// Retries between two changes of priority.
const PRIORITY_UPDATE_FREQUENCY: i32 = 2;
/// How often an inbound request is tried again when its connection was reset before it was sent.
const INBOUND_RETRIES: u32 = 2;

/// The policy of a route of which `retries` is the route's own or, if it has none, the mesh's policy.
///
/// `sticky` says that requests go to the host that a hash chooses, where avoiding that host makes no sense. No
/// policy comes back when retries are switched off.
pub fn policy(retries: Option<&HttpRetry>, sticky: bool) -> Option<RetryPolicy> {
    let Some(retries) = retries else { return Some(built_in(!sticky)) };
    let attempts = attempts(retries)?;
    let mut policy = built_in(retries.retry_ignore_previous_hosts.unwrap_or(!sticky));
    policy.num_retries = Some(attempts.into());
    if !retries.retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = conditions(&retries.retry_on);
    }
    policy.per_try_timeout = retries.per_try_timeout.map(duration);
    if retries.retry_remote_localities == Some(true) {
        policy.retry_priority = Some(previous_priorities());
    }
    policy.retry_back_off = backoff(retries);
    Some(policy)
}

/// The policy of inbound routes, where `retries` is the mesh's for them, of which attempts, conditions and backoff count;
/// gRPC ports have none, their clients retry.
pub fn inbound(grpc: bool, retries: Option<&HttpRetry>) -> Option<RetryPolicy> {
    if grpc {
        return None;
    }
    let mut policy = RetryPolicy {
        retry_on: "reset-before-request".to_owned(),
        num_retries: Some(INBOUND_RETRIES.into()),
        ..RetryPolicy::default()
    };
    let Some(retries) = retries else { return Some(policy) };
    policy.num_retries = Some(attempts(retries)?.into());
    if !retries.retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = conditions(&retries.retry_on);
    }
    policy.retry_back_off = backoff(retries);
    Some(policy)
}

/// How often to try again; none switches retries off.
fn attempts(retries: &HttpRetry) -> Option<u32> {
    u32::try_from(retries.attempts).ok().filter(|n| *n > 0)
}

fn backoff(retries: &HttpRetry) -> Option<RetryBackOff> {
    // Envoy refuses an interval of zero.
    let base = retries.backoff.filter(|b| !b.is_zero())?;
    Some(RetryBackOff { base_interval: Some(duration(base)), max_interval: None })
}

fn built_in(avoid_previous_hosts: bool) -> RetryPolicy {
    let predicate = RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(pack_any(
            &PreviousHostsPredicate::default(),
        ))),
    };
    RetryPolicy {
        retry_on: RETRY_ON.to_owned(),
        num_retries: Some(2.into()),
        host_selection_retry_max_attempts: HOST_SELECTION_ATTEMPTS,
        retry_host_predicate: if avoid_previous_hosts { vec![predicate] } else { Vec::new() },
        ..RetryPolicy::default()
    }
}

fn previous_priorities() -> RetryPriority {
    let config = PreviousPrioritiesConfig { update_frequency: PRIORITY_UPDATE_FREQUENCY };
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".to_owned(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(pack_any(&config))),
    }
}

/// Envoy's conditions and the status codes among the words of `retryOn`.
fn conditions(retry_on: &str) -> (String, Vec<u32>) {
    let mut words = Vec::new();
    let mut codes = Vec::new();
    for word in retry_on.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match word.parse::<u32>() {
            Ok(code) if (100..600).contains(&code) => codes.push(code),
            _ => words.push(word),
        }
    }
    if !codes.is_empty() && !words.contains(&STATUS_CODES) {
        words.push(STATUS_CODES);
    }
    (words.join(","), codes)
}

/// A duration in Envoy's form.
pub(super) fn duration(span: api::Duration) -> Duration {
    std::time::Duration::from(span).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_from_conditions() {
        assert_eq!(conditions("5xx, 429 ,503"), ("5xx,retriable-status-codes".to_owned(), vec![429, 503]));
        assert_eq!(conditions("reset"), ("reset".to_owned(), vec![]));
        assert_eq!(conditions("429"), ("retriable-status-codes".to_owned(), vec![429]));
    }

    #[test]
    fn a_route_of_its_own_takes_the_built_in_conditions() {
        let own = HttpRetry { attempts: 9, ..HttpRetry::default() };
        let policy = policy(Some(&own), false).unwrap();
        assert_eq!((policy.retry_on.as_str(), policy.num_retries), (RETRY_ON, Some(9.into())));
        assert_eq!(policy.retry_host_predicate.len(), 1);
    }

    #[test]
    fn inbound_routes_take_what_the_mesh_says_of_them() {
        let built_in = inbound(false, None).unwrap();
        assert_eq!(
            (built_in.retry_on.as_str(), built_in.num_retries),
            ("reset-before-request", Some(2.into()))
        );
        let asked = HttpRetry {
            attempts: 5,
            retry_on: "5xx,429".to_owned(),
            per_try_timeout: Some(api::Duration::from_secs(1)),
            backoff: Some(api::Duration::from_secs(2)),
            ..HttpRetry::default()
        };
        let own = inbound(false, Some(&asked)).unwrap();
        assert_eq!((own.num_retries, own.retriable_status_codes), (Some(5.into()), vec![429]));
        assert_eq!((own.per_try_timeout, own.retry_host_predicate.len()), (None, 0));
        assert_eq!(own.retry_back_off.unwrap().base_interval, Some(Duration::from_secs(2)));
        assert_eq!(inbound(true, Some(&asked)), None);
        assert_eq!(inbound(false, Some(&HttpRetry::default())), None);
    }

    #[test]
    fn attempts_of_zero_switch_off_and_hashing_keeps_the_host() {
        assert_eq!(policy(Some(&HttpRetry::default()), false), None);
        assert!(policy(None, true).unwrap().retry_host_predicate.is_empty());
        let forced =
            HttpRetry { attempts: 1, retry_ignore_previous_hosts: Some(true), ..HttpRetry::default() };
        assert_eq!(policy(Some(&forced), true).unwrap().retry_host_predicate.len(), 1);
    }
}
