//! `connectionSettings` of a proxy: limits and times of downstream connections, with the defaults of a profile.
//!
//! Source: Istio, "Edge Proxy Configuration"; `shared/spec/xds.md` 4.7.

use api::Duration;
use api::mesh_config::{
    ConnectionProfile, ConnectionSettings, HeadersWithUnderscoresAction, PathWithEscapedSlashesAction,
    ProxyConfig,
};
use envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction as EnvoyUnderscores;
use envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction as EnvoySlashes;
use envoy::google::protobuf::UInt32Value;
use model::mesh::Settings;

use crate::listeners::shape::duration;

/// The settings of a proxy, or the mesh's where it has none; a router of profile EDGE gets that profile's values
/// where nothing is said.
pub(super) fn resolve(config: &ProxyConfig, settings: &Settings, router: bool) -> Option<ConnectionSettings> {
    let own = config.connection_settings.as_ref();
    let found = own.or(settings.default_proxy_config.connection_settings.as_ref())?.clone();
    if found.profile == ConnectionProfile::Edge && router {
        return Some(edge(found));
    }
    Some(ConnectionSettings { profile: ConnectionProfile::default(), ..found })
}

fn edge(asked: ConnectionSettings) -> ConnectionSettings {
    let five_minutes = Duration::from_secs(300);
    let underscores = match asked.http_headers_with_underscores_action {
        HeadersWithUnderscoresAction::HeadersWithUnderscoresUnspecified => {
            HeadersWithUnderscoresAction::HeadersWithUnderscoresRejectRequest
        }
        said => said,
    };
    let slashes = match asked.http_path_with_escaped_slashes_action {
        PathWithEscapedSlashesAction::PathWithEscapedSlashesUnspecified => {
            PathWithEscapedSlashesAction::UnescapeAndRedirect
        }
        said => said,
    };
    ConnectionSettings {
        listener_per_connection_buffer_limit_bytes: asked
            .listener_per_connection_buffer_limit_bytes
            .or(Some(32 << 10)),
        cluster_per_connection_buffer_limit_bytes: asked
            .cluster_per_connection_buffer_limit_bytes
            .or(Some(32 << 10)),
        http_idle_timeout: asked.http_idle_timeout.or(Some(Duration::from_secs(3600))),
        http_stream_idle_timeout: asked.http_stream_idle_timeout.or(Some(five_minutes)),
        http_request_timeout: asked.http_request_timeout.or(Some(five_minutes)),
        http_request_headers_timeout: asked.http_request_headers_timeout.or(Some(Duration::from_secs(60))),
        http_max_concurrent_streams: asked.http_max_concurrent_streams.or(Some(100)),
        http2_initial_stream_window_size: asked.http2_initial_stream_window_size.or(Some(64 << 10)),
        http2_initial_connection_window_size: asked.http2_initial_connection_window_size.or(Some(1 << 20)),
        http_headers_with_underscores_action: underscores,
        http_merge_slashes: asked.http_merge_slashes.or(Some(true)),
        http_path_with_escaped_slashes_action: slashes,
        ..asked
    }
}

/// Lays the settings over a connection manager.
pub(super) fn apply(manager: &mut HttpConnectionManager, settings: &ConnectionSettings) {
    let times = [
        (&mut manager.stream_idle_timeout, settings.http_stream_idle_timeout),
        (&mut manager.request_timeout, settings.http_request_timeout),
        (&mut manager.request_headers_timeout, settings.http_request_headers_timeout),
        (&mut manager.drain_timeout, settings.http_drain_timeout),
    ];
    for (field, value) in times {
        if let Some(value) = value {
            *field = Some(duration(value));
        }
    }
    common(manager, settings);
    http2(manager, settings);
    if let Some(merge) = settings.http_merge_slashes {
        manager.merge_slashes = merge;
    }
    let slashes = match settings.http_path_with_escaped_slashes_action {
        PathWithEscapedSlashesAction::PathWithEscapedSlashesUnspecified => return,
        PathWithEscapedSlashesAction::KeepUnchanged => EnvoySlashes::KeepUnchanged,
        PathWithEscapedSlashesAction::RejectRequest => EnvoySlashes::RejectRequest,
        PathWithEscapedSlashesAction::UnescapeAndRedirect => EnvoySlashes::UnescapeAndRedirect,
        PathWithEscapedSlashesAction::UnescapeAndForward => EnvoySlashes::UnescapeAndForward,
    };
    manager.path_with_escaped_slashes_action = slashes.into();
}

fn common(manager: &mut HttpConnectionManager, settings: &ConnectionSettings) {
    let underscores = match settings.http_headers_with_underscores_action {
        HeadersWithUnderscoresAction::HeadersWithUnderscoresUnspecified => None,
        HeadersWithUnderscoresAction::HeadersWithUnderscoresAllow => Some(EnvoyUnderscores::Allow),
        HeadersWithUnderscoresAction::HeadersWithUnderscoresRejectRequest => {
            Some(EnvoyUnderscores::RejectRequest)
        }
        HeadersWithUnderscoresAction::HeadersWithUnderscoresDropHeader => Some(EnvoyUnderscores::DropHeader),
    };
    let idle = settings.http_idle_timeout;
    let connection = settings.http_max_connection_duration;
    let stream = settings.http_max_stream_duration;
    if underscores.is_none() && idle.is_none() && connection.is_none() && stream.is_none() {
        return;
    }
    let options = manager.common_http_protocol_options.get_or_insert_default();
    for (field, value) in [
        (&mut options.idle_timeout, idle),
        (&mut options.max_connection_duration, connection),
        (&mut options.max_stream_duration, stream),
    ] {
        if let Some(value) = value {
            *field = Some(duration(value));
        }
    }
    if let Some(action) = underscores {
        options.headers_with_underscores_action = action.into();
    }
}

fn http2(manager: &mut HttpConnectionManager, settings: &ConnectionSettings) {
    let streams = settings.http_max_concurrent_streams;
    let stream_window = settings.http2_initial_stream_window_size;
    let connection_window = settings.http2_initial_connection_window_size;
    if streams.is_none() && stream_window.is_none() && connection_window.is_none() {
        return;
    }
    let options = manager.http2_protocol_options.get_or_insert_default();
    for (field, value) in [
        (&mut options.max_concurrent_streams, streams),
        (&mut options.initial_stream_window_size, stream_window),
        (&mut options.initial_connection_window_size, connection_window),
    ] {
        if let Some(value) = unsigned(value) {
            *field = Some(value);
        }
    }
}

/// A limit that is not negative; a negative one counts as not given.
fn unsigned(value: Option<i32>) -> Option<UInt32Value> {
    value.and_then(|v| u32::try_from(v).ok()).map(UInt32Value::from)
}
