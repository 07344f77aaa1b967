//! The static listeners 15090 (metrics) and 15021 (readiness), each only if asked for.

use serde_json::{Value, json};

use super::options::{Options, StatusBackend};
use super::{PROMETHEUS_PORT, STATUS_PORT};

pub(super) fn render(options: &Options) -> Vec<Value> {
    let mut out = Vec::new();
    if options.prometheus_listener {
        let route = json!({"cluster": "prometheus_stats", "timeout": "0s"});
        out.push(listener(options, PROMETHEUS_PORT, "stats", "/stats/prometheus", &route));
    }
    if let Some(backend) = options.status_listener {
        let route = match backend {
            StatusBackend::Agent(_) => json!({"cluster": "agent"}),
            StatusBackend::Envoy => json!({"cluster": "prometheus_stats", "prefix_rewrite": "/ready"}),
        };
        out.push(listener(options, STATUS_PORT, "agent", "/healthz/ready", &route));
    }
    out
}

fn listener(options: &Options, port: u16, stat_prefix: &str, prefix: &str, route: &Value) -> Value {
    let has_v4 = options.node.ips().iter().any(std::net::IpAddr::is_ipv4);
    let has_v6 = options.node.ips().iter().any(std::net::IpAddr::is_ipv6);
    let bind = |address: &str| json!({"socket_address": {"address": address, "port_value": port}});
    let mut out = json!({
        "address": bind(if has_v4 { "0.0.0.0" } else { "::" }),
        // A proxy at its limits must still tell how it is.
        "ignore_global_conn_limit": true,
        "bypass_overload_manager": true,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network\
                          .http_connection_manager.v3.HttpConnectionManager",
                "codec_type": "AUTO",
                "stat_prefix": stat_prefix,
                "route_config": {"virtual_hosts": [{
                    "name": "backend",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": prefix}, "route": route}],
                }]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    },
                }],
            },
        }]}],
    });
    if let (true, true, Some(out)) = (has_v4, has_v6, out.as_object_mut()) {
        out.insert("additional_addresses".to_owned(), json!([{"address": bind("::")}]));
    }
    out
}
