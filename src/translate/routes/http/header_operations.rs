//! Changes of headers.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`TranslateHeadersOperations`); `shared/spec/xds.md` 5.5.

use std::collections::BTreeMap;

use api::istio::{HeaderOperations, Headers};
use envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy::config::route::v3::Route;

use super::format;
use super::text::{self, Wrong};

/// Changes in Envoy's form.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Operations {
    pub(super) request_add: Vec<HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
    /// What the authority becomes: Envoy has another field for it.
    pub(super) authority: Option<String>,
}

impl Operations {
    /// Adds the changes to those of a route; what the authority becomes is left to the caller.
    pub(super) fn apply(self, route: &mut Route) -> Option<String> {
        route.request_headers_to_add.extend(self.request_add);
        route.request_headers_to_remove.extend(self.request_remove);
        route.response_headers_to_add.extend(self.response_add);
        route.response_headers_to_remove.extend(self.response_remove);
        self.authority
    }
}

/// The header by which answers tell clients that the same port serves HTTP/3, for a day.
pub(super) fn serves_http3(port: u16) -> HeaderValueOption {
    let header = HeaderValue {
        key: "alt-svc".to_owned(),
        value: format!("h3=\":{port}\"; ma=86400"),
        ..HeaderValue::default()
    };
    HeaderValueOption {
        header: Some(header),
        append_action: HeaderAppendAction::AppendIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// The changes of a rule or a destination.
pub(super) fn build(headers: Option<&Headers>, field: &str) -> Result<Operations, Wrong> {
    let Some(headers) = headers else { return Ok(Operations::default()) };
    let mut operations = Operations::default();
    if let Some(request) = &headers.request {
        let field = format!("{field}.request");
        operations.request_add = additions(request, &field)?;
        operations.request_remove = removals(request, &field)?;
        let host = authority(&request.set).or_else(|| authority(&request.add));
        operations.authority = host.map(|h| text::line(h, &field)).transpose()?;
    }
    if let Some(response) = &headers.response {
        let field = format!("{field}.response");
        operations.response_add = additions(response, &field)?;
        operations.response_remove = removals(response, &field)?;
    }
    Ok(operations)
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Whether Envoy refuses to change the header in this way.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

fn authority(headers: &BTreeMap<String, String>) -> Option<&String> {
    headers.iter().find(|(name, _)| is_authority(name)).map(|(_, value)| value)
}

fn additions(operations: &HeaderOperations, field: &str) -> Result<Vec<HeaderValueOption>, Wrong> {
    let set = operations.set.iter().map(|h| ("set", h, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = operations.add.iter().map(|h| ("add", h, HeaderAppendAction::AppendIfExistsOrAdd));
    set.chain(add)
        .filter(|(_, (name, _), _)| !is_internal(name))
        .map(|(list, (name, value), action)| {
            let field = format!("{field}.{list}.{name}");
            if name.is_empty() {
                return Err(Wrong::new(field, "a header's name must not be empty"));
            }
            format::check(value).map_err(|why| Wrong::new(&field, format!("`{value}`: {why}")))?;
            let header = HeaderValue {
                key: text::line(name, &field)?,
                value: text::line(value, &field)?,
                ..HeaderValue::default()
            };
            Ok(HeaderValueOption {
                header: Some(header),
                append_action: action.into(),
                ..HeaderValueOption::default()
            })
        })
        .collect()
}

fn removals(operations: &HeaderOperations, field: &str) -> Result<Vec<String>, Wrong> {
    let names = operations.remove.iter().filter(|n| !n.is_empty() && !is_internal(n));
    names.map(|name| text::line(name, &format!("{field}.remove"))).collect()
}
