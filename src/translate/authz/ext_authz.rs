//! The filters that ask external authorizers, for requests that a rule of a CUSTOM policy has marked.
//!
//! Envoy refuses a whole listener for one value of a wrong form, so all are looked at here.
//!
//! Source: Istio `pilot/pkg/security/authz/builder/extauthz.go`; `shared/spec/security.md` 8.7.

use api::Duration;
use api::mesh_config::{ExtAuthzGrpcProvider, ExtAuthzHttpProvider, ExtAuthzRequestBody};
use envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy::config::core::v3::{ApiVersion, GrpcService, HeaderValue, HttpUri};
use envoy::extensions::filters::http::ext_authz::v3::ext_authz::Services;
use envoy::extensions::filters::http::ext_authz::v3::{
    AuthorizationRequest, AuthorizationResponse, BufferSettings, ExtAuthz, HttpService,
};
use envoy::extensions::filters::network::ext_authz::v3 as network;
use envoy::r#type::matcher::v3::{ListStringMatcher, MetadataMatcher, StringMatcher};
use envoy::r#type::v3::{HttpStatus, StatusCode};

use super::authorizer::{Asked, Protocol};
use super::matcher;
use crate::clusters::names;
use crate::listeners::shape::duration;

/// Time for an answer where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What asks an authorizer, without what marks a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asking {
    /// For HTTP.
    pub(super) http: ExtAuthz,
    /// For other connections; an HTTP authorizer cannot decide on them.
    pub(super) tcp: Option<network::ExtAuthz>,
}

impl Asking {
    /// What asks the authorizer.
    ///
    /// # Errors
    /// What is wrong with the provider.
    pub(super) fn of(asked: &Asked) -> Result<Self, String> {
        match &asked.protocol {
            Protocol::Http(provider) => http(provider, &asked.host).map(|http| Self { http, tcp: None }),
            Protocol::Grpc(provider) => grpc(provider, &asked.host),
        }
    }

    /// Asks about what `matcher` marks on HTTP.
    pub(super) fn marked(&self, matcher: MetadataMatcher) -> ExtAuthz {
        ExtAuthz { filter_enabled_metadata: Some(matcher), ..self.http.clone() }
    }
}

fn http(provider: &ExtAuthzHttpProvider, host: &str) -> Result<ExtAuthz, String> {
    let prefix = &provider.path_prefix;
    if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.contains(char::is_control)) {
        return Err(format!("pathPrefix {prefix:?} does not begin with /"));
    }
    let headers = |field, list: &[String]| headers(field, list);
    let asked = headers("includeRequestHeadersInCheck", &provider.include_request_headers_in_check)?;
    let old = headers("includeHeadersInCheck", &provider.include_headers_in_check)?;
    let response = AuthorizationResponse {
        allowed_upstream_headers: headers(
            "headersToUpstreamOnAllow",
            &provider.headers_to_upstream_on_allow,
        )?,
        allowed_client_headers: headers(
            "headersToDownstreamOnDeny",
            &provider.headers_to_downstream_on_deny,
        )?,
        allowed_client_headers_on_success: headers(
            "headersToDownstreamOnAllow",
            &provider.headers_to_downstream_on_allow,
        )?,
        ..AuthorizationResponse::default()
    };
    let added = added(provider)?;
    let service = HttpService {
        server_uri: Some(HttpUri {
            uri: format!("http://{host}"),
            timeout: Some(timeout(provider.timeout)),
            http_upstream_type: Some(HttpUpstreamType::Cluster(names::outbound(
                port(provider.port)?,
                "",
                host,
            ))),
        }),
        path_prefix: prefix.clone(),
        authorization_request: (!added.is_empty())
            .then(|| AuthorizationRequest { headers_to_add: added, ..AuthorizationRequest::default() }),
        authorization_response: (response != AuthorizationResponse::default()).then_some(response),
        ..HttpService::default()
    };
    Ok(ExtAuthz {
        transport_api_version: ApiVersion::V3.into(),
        failure_mode_allow: provider.fail_open,
        status_on_error: status(&provider.status_on_error)?,
        with_request_body: body(provider.include_request_body_in_check.as_ref())?,
        allowed_headers: asked.or(old),
        services: Some(Services::HttpService(service)),
        ..ExtAuthz::default()
    })
}

fn grpc(provider: &ExtAuthzGrpcProvider, host: &str) -> Result<Asking, String> {
    let service = GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: names::outbound(port(provider.port)?, "", host),
            authority: host.to_owned(),
            ..EnvoyGrpc::default()
        })),
        timeout: Some(timeout(provider.timeout)),
        ..GrpcService::default()
    };
    let tcp = network::ExtAuthz {
        stat_prefix: "tcp.".to_owned(),
        failure_mode_allow: provider.fail_open,
        transport_api_version: ApiVersion::V3.into(),
        grpc_service: Some(service.clone()),
        ..network::ExtAuthz::default()
    };
    let http = ExtAuthz {
        transport_api_version: ApiVersion::V3.into(),
        failure_mode_allow: provider.fail_open,
        status_on_error: status(&provider.status_on_error)?,
        with_request_body: body(provider.include_request_body_in_check.as_ref())?,
        services: Some(Services::GrpcService(service)),
        ..ExtAuthz::default()
    };
    Ok(Asking { http, tcp: Some(tcp) })
}

fn port(port: u32) -> Result<u16, String> {
    let number = u16::try_from(port).ok().filter(|number| *number != 0);
    number.ok_or_else(|| format!("port {port} is not between 1 and 65535"))
}

fn timeout(asked: Option<Duration>) -> envoy::google::protobuf::Duration {
    duration(asked.unwrap_or(TIMEOUT))
}

/// The status for when the authorizer fails, which must be one that Envoy knows.
fn status(text: &str) -> Result<Option<HttpStatus>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let code = text.parse::<i32>().ok().and_then(|code| StatusCode::try_from(code).ok());
    match code.filter(|code| *code != StatusCode::Empty) {
        Some(code) => Ok(Some(HttpStatus { code: code.into() })),
        None => Err(format!("statusOnError {text:?} is no HTTP status that Envoy knows")),
    }
}

fn body(asked: Option<&ExtAuthzRequestBody>) -> Result<Option<BufferSettings>, String> {
    let Some(asked) = asked else { return Ok(None) };
    if asked.max_request_bytes == 0 {
        return Err("includeRequestBodyInCheck.maxRequestBytes must be above 0".to_owned());
    }
    Ok(Some(BufferSettings {
        max_request_bytes: asked.max_request_bytes,
        allow_partial_message: asked.allow_partial_message,
        pack_as_bytes: asked.pack_as_bytes,
    }))
}

fn headers(field: &str, list: &[String]) -> Result<Option<ListStringMatcher>, String> {
    if list.iter().any(|header| header == "*") {
        return Err(format!("{field} cannot name all headers by \"*\""));
    }
    let matcher = |header: &String| StringMatcher { ignore_case: true, ..matcher::value(header) };
    let patterns: Vec<_> = list.iter().map(matcher).collect();
    Ok((!patterns.is_empty()).then_some(ListStringMatcher { patterns }))
}

/// Headers that the authorizer gets beside those of the request, by name.
fn added(provider: &ExtAuthzHttpProvider) -> Result<Vec<HeaderValue>, String> {
    let headers = provider.include_additional_headers_in_check.iter();
    let header = |(key, value): (&String, &String)| {
        if key.is_empty() || format!("{key}{value}").contains(['\0', '\r', '\n']) {
            return Err(format!("includeAdditionalHeadersInCheck has no header {key:?}"));
        }
        Ok(HeaderValue { key: key.clone(), value: value.clone(), ..HeaderValue::default() })
    };
    headers.map(header).collect()
}
