//! Rules of traffic policies: connection pools, outlier detection, tunnels; those of load balancers are in [`super::balancer`].

use api::istio::{
    ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, OutlierDetection, PortTrafficPolicy, TcpSettings,
    TrafficPolicy, TunnelSettings,
};

use super::balancer::load_balancer;
use super::check::Check;
use super::text::{host, not_negative, percent, port, time, time_or_zero, whole_percent};
use super::tls;

pub(super) fn traffic_policy(check: &mut Check, policy: &TrafficPolicy) {
    check.some("loadBalancer", policy.load_balancer.as_ref(), load_balancer);
    check.some("connectionPool", policy.connection_pool.as_ref(), connection_pool);
    check.some("outlierDetection", policy.outlier_detection.as_ref(), outlier_detection);
    check.some("tls", policy.tls.as_ref(), tls::client);
    check.each("portLevelSettings", &policy.port_level_settings, of_port);
    check.some("tunnel", policy.tunnel.as_ref(), tunnel);
    check.some("retryBudget", policy.retry_budget.as_ref(), |check, budget| {
        percent(check, "percent", budget.percent)
    });
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        check.error("proxyProtocol", "a tunnel has no PROXY protocol", "keep tunnel or proxyProtocol");
    }
}

fn of_port(check: &mut Check, policy: &PortTrafficPolicy) {
    match &policy.port {
        None => check.error("port", "the port is missing", "name the number of a port of the service"),
        Some(selected) => port(check, "port.number", selected.number),
    }
    check.some("loadBalancer", policy.load_balancer.as_ref(), load_balancer);
    check.some("connectionPool", policy.connection_pool.as_ref(), connection_pool);
    check.some("outlierDetection", policy.outlier_detection.as_ref(), outlier_detection);
    check.some("tls", policy.tls.as_ref(), tls::client);
}

fn tunnel(check: &mut Check, tunnel: &TunnelSettings) {
    if !matches!(tunnel.protocol.as_str(), "" | "CONNECT" | "POST") {
        check.error(
            "protocol",
            format!("{:?} is no method of a tunnel", tunnel.protocol),
            "write CONNECT or POST",
        );
    }
    host(check, "targetHost", &tunnel.target_host);
    port(check, "targetPort", tunnel.target_port);
}

pub(super) fn connection_pool(check: &mut Check, pool: &ConnectionPoolSettings) {
    if pool.tcp.is_none() && pool.http.is_none() {
        check.error("", "the pool says nothing", "write tcp or http, or leave it out");
    }
    check.some("tcp", pool.tcp.as_ref(), tcp);
    check.some("http", pool.http.as_ref(), http);
}

fn tcp(check: &mut Check, tcp: &TcpSettings) {
    not_negative(check, "maxConnections", tcp.max_connections);
    time(check, "connectTimeout", tcp.connect_timeout);
    time(check, "maxConnectionDuration", tcp.max_connection_duration);
    time_or_zero(check, "idleTimeout", tcp.idle_timeout);
    check.some("tcpKeepalive", tcp.tcp_keepalive.as_ref(), |check, keepalive| {
        time(check, "time", keepalive.time);
        time(check, "interval", keepalive.interval);
    });
}

fn http(check: &mut Check, http: &HttpSettings) {
    let limits = [
        ("http1MaxPendingRequests", http.http1_max_pending_requests),
        ("http2MaxRequests", http.http2_max_requests),
        ("maxRequestsPerConnection", http.max_requests_per_connection),
        ("maxRetries", http.max_retries),
        ("maxConcurrentStreams", http.max_concurrent_streams),
    ];
    for (field, limit) in limits {
        not_negative(check, field, limit);
    }
    time_or_zero(check, "idleTimeout", http.idle_timeout);
    if http.use_client_protocol && http.h2_upgrade_policy == H2UpgradePolicy::Upgrade {
        check.error(
            "h2UpgradePolicy",
            "the client's protocol is both kept and upgraded",
            "keep useClientProtocol or UPGRADE",
        );
    }
    check.some("http2KeepAlive", http.http2_keep_alive.as_ref(), |check, keepalive| {
        for (field, span) in [("interval", keepalive.interval), ("timeout", keepalive.timeout)] {
            if span.is_none() {
                check.error(
                    field,
                    "probes need both interval and timeout",
                    "write both, such as 30s and 10s",
                );
            }
            time(check, field, span);
        }
    });
}

pub(super) fn outlier_detection(check: &mut Check, outliers: &OutlierDetection) {
    if outliers.consecutive_errors != 0 {
        let hint = "write consecutive5xxErrors or consecutiveGatewayErrors";
        check.warning("consecutiveErrors", "the field is deprecated and not looked at", hint);
    }
    time(check, "interval", outliers.interval);
    time(check, "baseEjectionTime", outliers.base_ejection_time);
    whole_percent(check, "maxEjectionPercent", outliers.max_ejection_percent);
    whole_percent(check, "minHealthPercent", outliers.min_health_percent);
    let counts = outliers.consecutive_local_origin_failures.is_some_and(|count| count > 0);
    if counts && !outliers.split_external_local_origin_errors {
        let hint = "set splitExternalLocalOriginErrors";
        check.error("consecutiveLocalOriginFailures", "failures to connect are not counted apart", hint);
    }
}
