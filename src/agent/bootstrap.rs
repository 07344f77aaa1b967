//! The bootstrap of a stock Envoy 1.40 as JSON: who it is, where its control plane and its secrets are.
//!
//! Pure: [`Options`] in, a `serde_json::Value` out that Envoy takes as `--config-path x.json`.
//! Shape and names follow the reference's template (spec kubernetes.md 4); what only Istio's own Envoy build
//! understands is left out (spec xds.md 8.5).

mod clusters;
mod listeners;
mod node;
mod options;
mod stats;

use serde_json::{Map, Value, json};

pub use options::{
    Address, Admin, ControlPlane, InterceptionMode, Locality, Node, NodeKind, Options, OptionsError,
    Protocol, StatusBackend, Tls,
};

/// Port of the listener that serves `/stats/prometheus`.
pub const PROMETHEUS_PORT: u16 = 15090;
/// Port of the listener that serves `/healthz/ready`.
pub const STATUS_PORT: u16 = 15021;

/// Writes the bootstrap. Same options, same JSON; call [`Options::check`] first for options of a user.
#[must_use]
pub fn render(options: &Options) -> Value {
    let mut out = json!({
        "application_log_config": {"log_format": {
            "text_format": "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t",
        }},
        "node": node::render(options),
        "layered_runtime": {"layers": [
            {"name": "global config", "static_layer": runtime(options)},
            {"name": "admin", "admin_layer": {}},
        ]},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
                "buffer_size_kb": 64,
            },
        }],
        "stats_config": stats::render(options),
        "admin": admin(options),
        "dynamic_resources": dynamic_resources(options),
        "static_resources": {"clusters": clusters::render(options), "listeners": listeners::render(options)},
        "overload_manager": {"resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors\
                          .downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": options.max_downstream_connections,
            },
        }]},
    });
    if let (Some(interval), Some(out)) = (&options.stats_flush_interval, out.as_object_mut()) {
        out.insert("stats_flush_interval".to_owned(), json!(interval));
    }
    out
}

/// The static runtime layer: the reference's defaults that Envoy 1.40 still knows, then the user's
/// `runtimeValues`, where an empty value removes a default and `true`/`false` become booleans.
fn runtime(options: &Options) -> Map<String, Value> {
    let mut layer = Map::from_iter([
        ("re2.max_program_size.error_level".to_owned(), json!("32768")),
        ("envoy.reloadable_features.http_reject_path_with_fragment".to_owned(), json!(false)),
        ("envoy.reloadable_features.fixed_heap_use_allocated".to_owned(), json!(true)),
        ("envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update".to_owned(), json!(false)),
    ]);
    for (key, value) in &options.runtime_values {
        let value = match value.as_str() {
            "" => {
                layer.remove(key);
                continue;
            }
            "true" => json!(true),
            "false" => json!(false),
            other => json!(other),
        };
        layer.insert(key.clone(), value);
    }
    layer
}

fn admin(options: &Options) -> Value {
    let address = match &options.admin {
        Admin::Tcp { address, port } => clusters::socket(*address, *port),
        Admin::Ephemeral { address } => clusters::socket(*address, 0),
        Admin::Unix { path } => json!({"pipe": {"path": path}}),
    };
    json!({
        "access_log": [{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": "/dev/null",
            },
        }],
        "address": address,
    })
}

fn dynamic_resources(options: &Options) -> Value {
    // 0 s: Envoy waits for its first listeners and clusters for as long as it takes.
    let ads = json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"});
    let api_type = match options.control_plane.protocol {
        Protocol::Delta => "DELTA_GRPC",
        Protocol::Sotw => "GRPC",
    };
    json!({
        "lds_config": ads,
        "cds_config": ads,
        "ads_config": {
            "api_type": api_type,
            "set_node_on_first_message_only": true,
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
        },
    })
}

#[cfg(test)]
mod tests;
