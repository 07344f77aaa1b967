//! Access logs as the mesh configuration asks for them: a file, the bootstrap's access log service.
//!
//! Source: Istio `pilot/pkg/networking/core/accesslog.go`, `pilot/pkg/model/telemetry_logging.go`;
//! `shared/spec/xds.md` 4.9.

use api::mesh_config::{AccessLogEncoding, MeshConfig};
use envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ResponseFlagFilter, access_log, access_log_filter::FilterSpecifier,
};
use envoy::config::core::v3::{
    ApiVersion, DataSource, GrpcService, JsonFormatOptions, SubstitutionFormatString, data_source,
    grpc_service, substitution_format_string::Format,
};
use envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};
use envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy::google::protobuf::{Struct, Value};
use envoy::{Message, Name, pack_any};

/// What is logged where. Sets nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessLogs {
    /// The file; empty for none.
    file: String,
    /// The format; empty for the built-in one.
    format: String,
    /// Text or JSON.
    encoding: AccessLogEncoding,
    /// The bootstrap's access log service is used as well.
    service: bool,
    /// Listeners log connections that no chain takes.
    listeners: bool,
}

/// The built-in text format.
const TEXT_FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
);

/// The built-in JSON format: field and operator.
const JSON_FORMAT: [(&str, &str); 24] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route_name", "%ROUTE_NAME%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
];

/// The bootstrap's cluster of the access log service.
const SERVICE_CLUSTER: &str = "envoy_accesslog_service";

/// Filter state that Istio's metadata filters leave.
const FILTER_STATE: [&str; 6] = [
    "upstream_peer",
    "downstream_peer",
    "wasm.upstream_peer",
    "wasm.upstream_peer_id",
    "wasm.downstream_peer",
    "wasm.downstream_peer_id",
];

impl AccessLogs {
    /// What the mesh configuration asks for.
    pub fn of(mesh: &MeshConfig) -> Self {
        Self {
            file: mesh.access_log_file.clone(),
            format: mesh.access_log_format.clone(),
            encoding: mesh.access_log_encoding,
            service: mesh.enable_envoy_access_log_service,
            listeners: !mesh.disable_envoy_listener_log,
        }
    }

    /// The logs of an HTTP connection manager.
    pub fn http(&self) -> Vec<AccessLog> {
        let service = HttpGrpcAccessLogConfig {
            common_config: Some(service_config("http_envoy_accesslog")),
            ..HttpGrpcAccessLogConfig::default()
        };
        let service = self.service.then(|| log("envoy.access_loggers.http_grpc", &service));
        self.file().into_iter().chain(service).collect()
    }

    /// The logs of a TCP proxy.
    pub fn tcp(&self) -> Vec<AccessLog> {
        self.file().into_iter().chain(self.service("tcp_envoy_accesslog")).collect()
    }

    /// The logs of a listener that is bound: connections that no filter chain takes.
    pub fn listener(&self) -> Vec<AccessLog> {
        if !self.listeners {
            return Vec::new();
        }
        let mut logs: Vec<_> =
            self.file().into_iter().chain(self.service("listener_envoy_accesslog")).collect();
        for log in &mut logs {
            let flags = ResponseFlagFilter { flags: vec!["NR".to_owned()] };
            log.filter =
                Some(AccessLogFilter { filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(flags)) });
        }
        logs
    }

    fn service(&self, name: &str) -> Option<AccessLog> {
        let config = TcpGrpcAccessLogConfig { common_config: Some(service_config(name)) };
        self.service.then(|| log("envoy.tcp_grpc_access_log", &config))
    }

    fn file(&self) -> Option<AccessLog> {
        if self.file.is_empty() {
            return None;
        }
        let (format, json_format_options) = match self.encoding {
            AccessLogEncoding::Text => (text_format(&self.format), None),
            AccessLogEncoding::Json => (json_format(&self.format), Some(JsonFormatOptions::default())),
        };
        let format =
            SubstitutionFormatString { format: Some(format), json_format_options, ..Default::default() };
        let config = FileAccessLog {
            path: self.file.clone(),
            access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
        };
        Some(log("envoy.access_loggers.file", &config))
    }
}

fn log<M: Message + Name>(name: &str, config: &M) -> AccessLog {
    AccessLog {
        name: name.to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(pack_any(config))),
        ..AccessLog::default()
    }
}

/// A text format; one without a newline gets one, or all lines would run together.
fn text_format(format: &str) -> Format {
    let mut text = if format.is_empty() { TEXT_FORMAT.to_owned() } else { format.to_owned() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Format::TextFormatSource(DataSource {
        specifier: Some(data_source::Specifier::InlineString(text)),
        ..DataSource::default()
    })
}

/// A JSON format; one that is no JSON object is as if it were not there.
fn json_format(format: &str) -> Format {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(format).ok();
    Format::JsonFormat(match object {
        Some(object) => object.iter().map(|(key, value)| (key.clone(), json_value(value))).collect(),
        None => JSON_FORMAT.into_iter().collect::<Struct>(),
    })
}

fn json_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::null(),
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => Value::from(n.as_f64().unwrap_or_default()),
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(json_value).collect::<Vec<_>>()),
        serde_json::Value::Object(fields) => {
            Value::from(fields.iter().map(|(k, v)| (k.clone(), json_value(v))).collect::<Struct>())
        }
    }
}

fn service_config(name: &str) -> CommonGrpcAccessLogConfig {
    let target = grpc_service::EnvoyGrpc { cluster_name: SERVICE_CLUSTER.to_owned(), ..Default::default() };
    CommonGrpcAccessLogConfig {
        log_name: name.to_owned(),
        grpc_service: Some(GrpcService {
            target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(target)),
            ..GrpcService::default()
        }),
        transport_api_version: ApiVersion::V3.into(),
        filter_state_objects_to_log: FILTER_STATE.map(str::to_owned).to_vec(),
        ..CommonGrpcAccessLogConfig::default()
    }
}
