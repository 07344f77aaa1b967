//! Rules of the defaults for proxies in the mesh configuration (`defaultConfig`).
//!
//! Source: Istio `pkg/config/validation/agent/validation.go` (`ValidateMeshConfigProxyConfig`).

use api::mesh_config::{ConnectionSettings, KeyAccelerator, PrivateKeyProvider, ProxyConfig, ProxyTracing};

use super::check::Check;
use super::text::{SECOND, is_fqdn, is_ip, not_negative, signed_port, time, whole};
use super::tls;

/// What stands for the node's address in collectors of traces.
const HOST_IP: &str = "$(HOST_IP)";
/// The smallest flow control window of HTTP/2 (RFC 9113, 6.9.2).
const SMALLEST_WINDOW: i32 = 65_535;

/// Looks at the defaults; `check` stands at them.
pub(super) fn proxy_config(check: &mut Check, proxy: &ProxyConfig) {
    paths(check, proxy);
    signed_port(check, "statusPort", proxy.status_port);
    signed_port(check, "proxyAdminPort", proxy.proxy_admin_port);
    time(check, "drainDuration", proxy.drain_duration);
    whole(check, "drainDuration", proxy.drain_duration, SECOND);
    addresses(check, proxy);
    check.some("tracing", proxy.tracing.as_ref(), tracing);
    check.some("privateKeyProvider", proxy.private_key_provider.as_ref(), private_keys);
    check.some("connectionSettings", proxy.connection_settings.as_ref(), connections);
}

fn paths(check: &mut Check, proxy: &ProxyConfig) {
    let hint = "write it, or leave the field out";
    for (field, text) in [("configPath", &proxy.config_path), ("binaryPath", &proxy.binary_path)] {
        if text.is_empty() {
            check.error(field, "the path is empty", hint);
        }
    }
}

fn addresses(check: &mut Check, proxy: &ProxyConfig) {
    if proxy.discovery_address.is_empty() {
        let hint = "write HOST:PORT of the control plane, or leave the field out";
        check.error("discoveryAddress", "proxies are told of no control plane", hint);
    }
    address(check, "discoveryAddress", &proxy.discovery_address);
    address(check, "statsdUdpAddress", &proxy.statsd_udp_address);
    address(check, "envoyMetricsServiceAddress", &proxy.envoy_metrics_service_address);
    for (field, service) in [
        ("envoyMetricsService", &proxy.envoy_metrics_service),
        ("envoyAccessLogService", &proxy.envoy_access_log_service),
    ] {
        check.some(field, service.as_ref(), |check, service| address(check, "address", &service.address));
    }
}

/// An address of a host and a port, if there is one.
fn address(check: &mut Check, field: &str, text: &str) {
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(inner) => inner.contains(':') && is_ip(inner),
            None => is_fqdn(host) || is_ip(host) && !host.contains(':'),
        };
        host && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !text.is_empty() && !valid {
        check.error(field, format!("{text:?} is no host with a port"), "write HOST:PORT");
    }
}

fn tracing(check: &mut Check, tracing: &ProxyTracing) {
    for (field, collector) in [("zipkin", &tracing.zipkin), ("datadog", &tracing.datadog)] {
        check.some(field, collector.as_ref(), |check, to| {
            needed_address(check, &to.address.replacen(HOST_IP, "127.0.0.1", 1));
        });
    }
    check.some("lightstep", tracing.lightstep.as_ref(), |check, to| {
        needed_address(check, &to.address);
        if to.access_token.is_empty() {
            check.error("accessToken", "the collector takes no traces without a token", "write the token");
        }
    });
    check.some("tlsSettings", tracing.tls_settings.as_ref(), tls::client);
}

fn needed_address(check: &mut Check, text: &str) {
    if text.is_empty() {
        check.error("address", "the collector has no address", "write HOST:PORT");
    }
    address(check, "address", text);
}

fn private_keys(check: &mut Check, provider: &PrivateKeyProvider) {
    if provider.cryptomb.is_none() && provider.qat.is_none() {
        check.error("", "no provider is named", "write cryptomb or qat");
    }
    for (field, accelerator) in [("cryptomb", &provider.cryptomb), ("qat", &provider.qat)] {
        check.some(field, accelerator.as_ref(), |check, accelerator: &KeyAccelerator| {
            if accelerator.poll_delay.is_none_or(|delay| delay.is_zero()) {
                check.error("pollDelay", "requests are gathered for no time", "write a time such as 10ms");
            }
        });
    }
}

fn connections(check: &mut Check, settings: &ConnectionSettings) {
    let bytes = [
        ("listenerPerConnectionBufferLimitBytes", settings.listener_per_connection_buffer_limit_bytes),
        ("clusterPerConnectionBufferLimitBytes", settings.cluster_per_connection_buffer_limit_bytes),
    ];
    for (field, number) in bytes {
        not_negative(check, field, number.unwrap_or_default());
    }
    let least = [
        ("httpMaxConcurrentStreams", settings.http_max_concurrent_streams, 1),
        ("listenerConnectionLimit", settings.listener_connection_limit, 1),
        ("globalDownstreamConnectionLimit", settings.global_downstream_connection_limit, 1),
        ("http2InitialStreamWindowSize", settings.http2_initial_stream_window_size, SMALLEST_WINDOW),
        ("http2InitialConnectionWindowSize", settings.http2_initial_connection_window_size, SMALLEST_WINDOW),
    ];
    for (field, number, least) in least {
        if let Some(number) = number.filter(|number| *number < least) {
            check.error(field, format!("{number} is too small"), format!("write {least} or more"));
        }
    }
}
