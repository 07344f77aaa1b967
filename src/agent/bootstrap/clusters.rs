//! The static clusters. Each has an `alt_stat_name` ending in `;`, which the tag rules need ([`super::stats`]).

use std::net::IpAddr;

use serde_json::{Value, json};

use super::options::{Address, Admin, Options, StatusBackend, Tls};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn render(options: &Options) -> Vec<Value> {
    let mut out = Vec::new();
    if let Some(admin) = admin_address(options) {
        out.push(plain("prometheus_stats", &admin));
    }
    if let Some(StatusBackend::Agent(port)) = options.status_listener {
        out.push(plain("agent", &socket(localhost(options), port)));
    }
    out.push(sds(options));
    out.push(xds(options));
    out
}

/// Loopback of the pod's family: IPv4 unless the pod has IPv6 addresses only.
pub(super) fn localhost(options: &Options) -> IpAddr {
    if options.node.ips().iter().any(IpAddr::is_ipv4) {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    }
}

pub(super) fn socket(address: IpAddr, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

/// Where the admin interface can be reached, unless Envoy chooses its port.
fn admin_address(options: &Options) -> Option<Value> {
    match &options.admin {
        Admin::Tcp { address, port } => {
            let address = if address.is_unspecified() { localhost(options) } else { *address };
            Some(socket(address, *port))
        }
        Admin::Unix { path } => Some(json!({"pipe": {"path": path}})),
        Admin::Ephemeral { .. } => None,
    }
}

fn plain(name: &str, address: &Value) -> Value {
    json!({
        "name": name,
        "alt_stat_name": format!("{name};"),
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": assignment(name, address),
    })
}

fn assignment(name: &str, address: &Value) -> Value {
    json!({
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    })
}

fn sds(options: &Options) -> Value {
    json!({
        "name": "sds-grpc",
        "alt_stat_name": "sds-grpc;",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": assignment("sds-grpc", &json!({"pipe": {"path": options.sds_socket}})),
        "typed_extension_protocol_options": {HTTP_OPTIONS: {
            "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
    })
}

fn xds(options: &Options) -> Value {
    let (kind, address) = match &options.control_plane.address {
        Address::Ip(ip, port) => ("STATIC", socket(*ip, *port)),
        Address::Name(name, port) => {
            ("STRICT_DNS", json!({"socket_address": {"address": name, "port_value": port}}))
        }
        Address::Unix(path) => ("STATIC", json!({"pipe": {"path": path}})),
    };
    let threshold = |priority: &str| {
        json!({
            "priority": priority,
            "max_connections": 100_000,
            "max_pending_requests": 100_000,
            "max_requests": 100_000,
        })
    };
    let mut out = json!({
        "name": "xds-grpc",
        "alt_stat_name": "xds-grpc;",
        "type": kind,
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": assignment("xds-grpc", &address),
        "circuit_breakers": {"thresholds": [threshold("DEFAULT"), threshold("HIGH")]},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
        "typed_extension_protocol_options": {HTTP_OPTIONS: {
            "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
            // One stream a connection: a reconnect may then reach another replica.
            "common_http_protocol_options": {"max_requests_per_connection": 1},
            // A control plane that vanished without a word is noticed within a minute.
            "explicit_http_config": {"http2_protocol_options": {
                "connection_keepalive": {"interval": "30s", "timeout": "20s"},
            }},
        }},
    });
    if let Some(out) = out.as_object_mut() {
        if kind == "STRICT_DNS" {
            out.insert("dns_refresh_rate".to_owned(), json!("30s"));
            out.insert("dns_lookup_family".to_owned(), json!("ALL"));
        }
        if let Some(tls) = &options.control_plane.tls {
            out.insert("transport_socket".to_owned(), transport_socket(tls));
        }
    }
    out
}

fn transport_socket(tls: &Tls) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": tls.server_name,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificate_sds_secret_configs": [sds_secret("default")],
                "combined_validation_context": {
                    "default_validation_context": {"match_typed_subject_alt_names": [
                        {"san_type": "DNS", "matcher": {"exact": tls.server_name}},
                    ]},
                    "validation_context_sds_secret_config": sds_secret("ROOTCA"),
                },
            },
        },
    })
}

fn sds_secret(name: &str) -> Value {
    json!({
        "name": name,
        "sds_config": {
            "api_config_source": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
            },
            "initial_fetch_timeout": "0s",
            "resource_api_version": "V3",
        },
    })
}
