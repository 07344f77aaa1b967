//! Connection pools: limits, times, keep-alive, HTTP options.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster_traffic_policy.go`; `shared/spec/xds.md` 2.8.

use api::istio::{
    ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, RetryBudget, TcpKeepalive, TcpSettings,
};
use api::mesh_config::{H2Upgrade, MeshConfig};
use envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy::config::cluster::v3::circuit_breakers::thresholds;
use envoy::config::cluster::v3::{CircuitBreakers, Cluster, UpstreamConnectionOptions};
use envoy::config::core::v3::{KeepaliveSettings, TcpKeepalive as WireKeepalive};
use envoy::google::protobuf::UInt32Value;
use envoy::r#type::v3::Percent;
use model::protocol::Protocol;

use super::draft::{Draft, wire};

const DEFAULT_RETRY_PERCENT: f64 = 20.0;
const DEFAULT_RETRY_CONCURRENCY: u32 = 3;

/// No limits but Envoy's largest numbers.
pub(crate) fn unlimited() -> CircuitBreakers {
    let all = || Some(UInt32Value::from(u32::MAX));
    let thresholds = Thresholds {
        max_connections: all(),
        max_pending_requests: all(),
        max_requests: all(),
        max_retries: all(),
        ..Thresholds::default()
    };
    CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() }
}

/// Lets the statistics of a cluster tell how much is left of its limits.
pub(super) fn track_remaining(cluster: &mut Cluster) {
    let breakers = cluster.circuit_breakers.iter_mut();
    breakers.flat_map(|b| &mut b.thresholds).for_each(|thresholds| thresholds.track_remaining = true);
}

/// Chooses HTTP/2 towards a port if rule or mesh ask for the upgrade of HTTP/1.1.
pub(crate) fn apply_h2_upgrade(
    draft: &mut Draft,
    pool: Option<&ConnectionPoolSettings>,
    protocol: Protocol,
    mesh: &MeshConfig,
) {
    let http = pool.and_then(|p| p.http.as_ref());
    if http.is_some_and(|h| h.use_client_protocol) {
        return;
    }
    let upgrade = match http.map(|h| h.h2_upgrade_policy).unwrap_or_default() {
        H2UpgradePolicy::Upgrade => true,
        H2UpgradePolicy::DoNotUpgrade => false,
        H2UpgradePolicy::Default => protocol.is_http() && mesh.h2_upgrade_policy == H2Upgrade::Upgrade,
    };
    if upgrade {
        draft.prefer_http2();
    }
}

/// Sets limits and times; the mesh's keep-alive holds without a pool too.
pub(crate) fn apply(
    draft: &mut Draft,
    pool: Option<&ConnectionPoolSettings>,
    budget: Option<&RetryBudget>,
    mesh: &MeshConfig,
) {
    let tcp = pool.and_then(|p| p.tcp.as_ref());
    let http = pool.and_then(|p| p.http.as_ref());
    apply_limits(draft, tcp, http, mesh);
    if let Some(thresholds) = thresholds_mut(draft) {
        thresholds.retry_budget = budget.map(retry_budget);
    }
    apply_http(draft, tcp, http);
}

/// Sets what is not of HTTP: limits, time to connect, keep-alive.
pub(crate) fn apply_limits(
    draft: &mut Draft,
    tcp: Option<&TcpSettings>,
    http: Option<&HttpSettings>,
    mesh: &MeshConfig,
) {
    if let Some(thresholds) = thresholds_mut(draft) {
        let set = |field: &mut Option<UInt32Value>, value: Option<i32>| {
            if let Some(value) = value.and_then(positive) {
                *field = Some(value.into());
            }
        };
        set(&mut thresholds.max_connections, tcp.map(|t| t.max_connections));
        set(&mut thresholds.max_pending_requests, http.map(|h| h.http1_max_pending_requests));
        set(&mut thresholds.max_requests, http.map(|h| h.http2_max_requests));
        set(&mut thresholds.max_retries, http.map(|h| h.max_retries));
    }
    if let Some(timeout) = tcp.and_then(|t| t.connect_timeout) {
        draft.cluster.connect_timeout = Some(wire(timeout));
    }
    apply_keepalive(draft, tcp.and_then(|t| t.tcp_keepalive.as_ref()), mesh.tcp_keepalive.as_ref());
}

fn thresholds_mut(draft: &mut Draft) -> Option<&mut Thresholds> {
    draft.cluster.circuit_breakers.as_mut()?.thresholds.first_mut()
}

/// The rule's attributes lie over the mesh's one by one; an empty block turns probing on as the system has it.
fn apply_keepalive(draft: &mut Draft, rule: Option<&TcpKeepalive>, mesh: Option<&TcpKeepalive>) {
    if rule.is_none() && mesh.is_none() {
        return;
    }
    let mut keepalive = WireKeepalive::default();
    for layer in mesh.into_iter().chain(rule) {
        if layer.probes > 0 {
            keepalive.keepalive_probes = Some(layer.probes.into());
        }
        let seconds = |span: api::Duration| UInt32Value::from(u32::try_from(span.secs()).unwrap_or(u32::MAX));
        keepalive.keepalive_time = layer.time.map(seconds).or(keepalive.keepalive_time);
        keepalive.keepalive_interval = layer.interval.map(seconds).or(keepalive.keepalive_interval);
    }
    draft.cluster.upstream_connection_options = Some(UpstreamConnectionOptions {
        tcp_keepalive: Some(keepalive),
        ..UpstreamConnectionOptions::default()
    });
}

fn apply_http(draft: &mut Draft, tcp: Option<&TcpSettings>, http: Option<&HttpSettings>) {
    let idle = http.and_then(|h| h.idle_timeout).or_else(|| tcp.and_then(|t| t.idle_timeout));
    if let Some(idle) = idle {
        draft.common_http().idle_timeout = Some(wire(idle));
    }
    if let Some(longest) = tcp.and_then(|t| t.max_connection_duration) {
        draft.common_http().max_connection_duration = Some(wire(longest));
    }
    let Some(http) = http else { return };
    if let Some(requests) = positive(http.max_requests_per_connection) {
        draft.common_http().max_requests_per_connection = Some(requests.into());
    }
    let streams = positive(http.max_concurrent_streams);
    if streams.is_some() || http.http2_keep_alive.is_some() {
        // The reference makes the options for these also where no HTTP/2 is spoken that could use them.
        draft.common_http();
    }
    if let Some(http2) = draft.explicit_http2() {
        if let Some(streams) = streams {
            http2.max_concurrent_streams = Some(streams.into());
        }
        if let Some(keepalive) = &http.http2_keep_alive {
            http2.connection_keepalive = Some(KeepaliveSettings {
                interval: keepalive.interval.map(wire),
                timeout: keepalive.timeout.map(wire),
                ..KeepaliveSettings::default()
            });
        }
    }
    if http.use_client_protocol {
        draft.use_downstream_protocol();
    }
}

fn retry_budget(budget: &RetryBudget) -> thresholds::RetryBudget {
    let concurrency = match budget.min_retry_concurrency {
        0 => DEFAULT_RETRY_CONCURRENCY,
        given => given,
    };
    thresholds::RetryBudget {
        budget_percent: Some(Percent { value: budget.percent.map_or(DEFAULT_RETRY_PERCENT, api::F64::get) }),
        min_retry_concurrency: Some(concurrency.into()),
        budget_interval: budget.budget_interval.map(wire),
    }
}

/// A limit that is set: zero and less mean none.
pub(crate) fn positive(value: i32) -> Option<u32> {
    u32::try_from(value).ok().filter(|v| *v > 0)
}
