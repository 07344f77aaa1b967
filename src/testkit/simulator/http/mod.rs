//! HTTP: from a request on a connection to its routes' actions.

mod before;
mod edits;
mod filters;
mod forward;
mod jwt;
mod path;
mod redirect;
mod route_match;
pub(super) mod virtual_host;

use anyhow::{Context, Result, bail};
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::virtual_host::TlsRequirementType;
use envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost};
use envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy::google::protobuf::Any;

use super::downstream::Content;
use super::resources::Resources;
use super::{Call, Chance, Outcome, Reply, Request, Says, Version, known};
use filters::Passed;
pub(super) use route_match::header;

const USED: &[&str] = &[
    "rds",
    "route_config",
    "http_filters",
    "http_protocol_options",
    "use_remote_address",
    "xff_num_trusted_hops",
    "normalize_path",
    "merge_slashes",
    "path_with_escaped_slashes_action",
];
const INERT: &[&str] = &[
    "codec_type",
    "stat_prefix",
    "tracing",
    "common_http_protocol_options",
    "http2_protocol_options",
    "http3_protocol_options",
    "server_name",
    "server_header_transformation",
    "stream_idle_timeout",
    "request_timeout",
    "request_headers_timeout",
    "drain_timeout",
    "delayed_close_timeout",
    "access_log",
    "access_log_options",
    "internal_address_config",
    "skip_xff_append",
    "generate_request_id",
    "preserve_external_request_id",
    "always_set_request_id_in_response",
    "forward_client_cert_details",
    "set_current_client_cert_details",
    "proxy_100_continue",
    "upgrade_configs",
    "request_id_extension",
    "append_x_forwarded_port",
    "max_request_headers_kb",
];
const CONFIGURATION_USED: &[&str] = &[
    "virtual_hosts",
    "ignore_port_in_host_matching",
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
    "typed_per_filter_config",
    "most_specific_header_mutations_wins",
];
const CONFIGURATION_INERT: &[&str] = &[
    "name",
    "validate_clusters",
    "max_direct_response_body_size_bytes",
    "metadata",
    "internal_only_headers",
];
const HOST_USED: &[&str] = &[
    "name",
    "domains",
    "routes",
    "require_tls",
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
    "typed_per_filter_config",
    "retry_policy",
];
const HOST_INERT: &[&str] =
    &["include_request_attempt_count", "include_attempt_count_in_response", "metadata", "rate_limits"];
const ROUTE_USED: &[&str] = &[
    "match",
    "route",
    "redirect",
    "direct_response",
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
    "typed_per_filter_config",
];
const ROUTE_INERT: &[&str] = &["name", "metadata", "decorator", "tracing", "stat_prefix"];

/// A route, and what stands around it.
#[derive(Clone, Copy, Debug)]
struct Chosen<'a> {
    configuration: &'a RouteConfiguration,
    host: &'a VirtualHost,
    route: &'a Route,
}

impl<'a> Chosen<'a> {
    /// What is said of a filter, the nearest to the route first.
    fn settings(self, filter: &str) -> impl Iterator<Item = &'a Any> {
        let levels = [
            &self.route.typed_per_filter_config,
            &self.host.typed_per_filter_config,
            &self.configuration.typed_per_filter_config,
        ];
        levels.into_iter().filter_map(move |level| level.get(filter))
    }
}

/// What becomes of what is said to a connection manager.
pub(super) fn run(
    resources: &Resources,
    manager: &HttpConnectionManager,
    call: &Call,
    content: &Content,
) -> Result<Vec<Chance>> {
    known::only(manager, USED, INERT)?;
    let Some(Says::Http(request)) = &content.says else {
        return Ok(vec![Chance::of_connection(Outcome::Closed("it is not HTTP".to_owned()))]);
    };
    let mut request = request.clone();
    if let Some(status) = refuse(manager, &request) {
        return Ok(vec![reply(&request, 1.0, ["", ""], status)]);
    }
    take_url(&mut request);
    set_scheme(manager, content, &mut request);
    if let Err(refused) = path::normalize(manager, &mut request)? {
        return Ok(vec![reply(&request, 1.0, ["", ""], refused)]);
    }
    if let Some(refused) = before::pass(manager, call, content, &mut request)? {
        return Ok(vec![reply(&request, 1.0, ["", ""], refused)]);
    }
    let configuration = routes(resources, manager)?;
    let name = || format!("route configuration {:?}", configuration.name);
    known::only(configuration, CONFIGURATION_USED, CONFIGURATION_INERT).with_context(name)?;
    let Some(host) = virtual_host::choose(configuration, &request.authority) else {
        return Ok(vec![reply(&request, 1.0, ["", ""], status(404))]);
    };
    let place = || format!("{}, virtual host {}", name(), host.name);
    known::only(host, HOST_USED, HOST_INERT).with_context(place)?;
    match host.require_tls() {
        TlsRequirementType::None => {}
        TlsRequirementType::All if request.scheme == "https" => {}
        TlsRequirementType::All => {
            let location = format!("https://{}{}", request.authority, request.path);
            let headers = vec![("location".to_owned(), location)];
            return Ok(vec![reply(&request, 1.0, [&host.name, ""], Reply { headers, ..status(301) })]);
        }
        TlsRequirementType::ExternalOnly => bail!("{}: the simulator does not know EXTERNAL_ONLY", place()),
    }
    let mut chances = Vec::new();
    for (share, route) in route_match::choose(&host.routes, &request).with_context(place)? {
        let Some(route) = route else {
            chances.push(reply(&request, share, [&host.name, ""], status(404)));
            continue;
        };
        let chosen = Chosen { configuration, host, route };
        let place = || format!("{}, route {:?}", place(), route.name);
        known::only(route, ROUTE_USED, ROUTE_INERT).with_context(place)?;
        for passed in filters::pass(manager, chosen, &request, share).with_context(place)? {
            chances.extend(act(resources, chosen, call, &request, passed).with_context(place)?);
        }
    }
    Ok(chances)
}

/// Requests that are refused before anything is looked up.
fn refuse(manager: &HttpConnectionManager, request: &Request) -> Option<Reply> {
    let http10 = manager.http_protocol_options.as_ref().is_some_and(|o| o.accept_http_10);
    match request.version {
        Version::Http10 if !http10 => Some(status(426)),
        Version::Http11 | Version::Http2 if request.authority.is_empty() => Some(status(400)),
        _ => None,
    }
}

/// A request line may name a whole URL: its host counts then.
fn take_url(request: &mut Request) {
    let Some((scheme, rest)) = request.path.split_once("://").filter(|(s, _)| matches!(*s, "http" | "https"))
    else {
        return;
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    (request.scheme, request.authority, request.path) =
        (scheme.to_owned(), authority.to_owned(), path.to_owned());
}

/// The scheme is that of the connection, unless one stands before the proxy that may say otherwise.
fn set_scheme(manager: &HttpConnectionManager, content: &Content, request: &mut Request) {
    let edge = manager.use_remote_address.is_some_and(|b| b.value) && manager.xff_num_trusted_hops == 0;
    let forwarded = request.headers.iter().find(|(name, _)| name == "x-forwarded-proto");
    let trusted =
        forwarded.map(|(_, value)| value.clone()).filter(|v| !edge && matches!(v.as_str(), "http" | "https"));
    let own = if content.tls { "https" } else { "http" };
    request.scheme = trusted.unwrap_or_else(|| own.to_owned());
}

fn routes<'a>(
    resources: &'a Resources,
    manager: &'a HttpConnectionManager,
) -> Result<&'a RouteConfiguration> {
    match &manager.route_specifier {
        Some(RouteSpecifier::RouteConfig(own)) => Ok(own),
        Some(RouteSpecifier::Rds(rds)) => {
            let name = &rds.route_config_name;
            resources.routes.get(name).with_context(|| format!("no route configuration {name}"))
        }
        _ => bail!("the simulator does not know where its routes are"),
    }
}

fn act(
    resources: &Resources,
    chosen: Chosen<'_>,
    call: &Call,
    request: &Request,
    passed: Passed,
) -> Result<Vec<Chance>> {
    let names = [chosen.host.name.as_str(), chosen.route.name.as_str()];
    if let Some(own) = passed.reply {
        return Ok(vec![reply(request, passed.share, names, own)]);
    }
    match &chosen.route.action {
        Some(Action::Route(action)) => forward::run(resources, chosen, action, call, request, &passed),
        Some(Action::Redirect(action)) => {
            let mut own = redirect::redirect(chosen, action, request)?;
            edits::response(chosen, None)?.iter().for_each(|edit| edit.apply(&mut own.headers));
            Ok(vec![reply(request, passed.share, names, own)])
        }
        Some(Action::DirectResponse(action)) => {
            let mut own = redirect::direct(action)?;
            edits::response(chosen, None)?.iter().for_each(|edit| edit.apply(&mut own.headers));
            Ok(vec![reply(request, passed.share, names, own)])
        }
        other => bail!("the simulator does not know the action {other:?}"),
    }
}

fn status(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

/// An answer of the proxy's own. To gRPC it is always 200, with what it means in a header.
fn reply(request: &Request, share: f64, [host, route]: [&str; 2], mut own: Reply) -> Chance {
    let told = own.headers.iter().any(|(name, _)| name == "grpc-status");
    if is_grpc(request) && !told {
        let code = match own.status {
            400 => "13",
            401 => "16",
            403 => "7",
            404 => "12",
            429 | 502..=504 => "14",
            _ => "2",
        };
        own.headers.push(("grpc-status".to_owned(), code.to_owned()));
        own.status = 200;
        own.body.clear();
    }
    Chance { share, virtual_host: host.to_owned(), route: route.to_owned(), outcome: Outcome::Replied(own) }
}

fn is_grpc(request: &Request) -> bool {
    let kind = request.value("content-type").unwrap_or_default();
    kind == "application/grpc" || kind.starts_with("application/grpc+")
}
