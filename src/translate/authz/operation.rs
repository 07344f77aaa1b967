//! What is done: hosts, methods, paths, ports; addresses and names of the connection.

use api::istio::Operation;
use envoy::config::core::v3::TypedExtensionConfig;
use envoy::config::rbac::v3::Permission;
use envoy::config::rbac::v3::permission::Rule;
use envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy::pack_any;
use envoy::r#type::matcher::v3::{PathMatcher, ValueMatcher, path_matcher};

use super::attribute::{Attribute, Wrong, in_brackets};
use super::node::permission;
use super::{matcher, template};
use crate::listeners::shape::cidr;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Host,
    Method,
    Path,
    Port,
    Address,
    ServerName,
    /// What an Envoy filter wrote, under a key.
    Metadata {
        filter: String,
        key: String,
    },
}

/// The fields of an operation, in the order in which they are looked at: name, values, values that must not match.
pub(super) fn fields(operation: &Operation) -> [(What, &'static str, &[String], &[String]); 4] {
    let Operation { hosts, not_hosts, methods, not_methods, paths, not_paths, ports, not_ports } = operation;
    [
        (What::Host, "hosts", hosts, not_hosts),
        (What::Method, "methods", methods, not_methods),
        (What::Path, "paths", paths, not_paths),
        (What::Port, "ports", ports, not_ports),
    ]
}

impl What {
    /// What the key of a condition names; none if it names no operation.
    pub(super) fn of_key(key: &str) -> Option<Result<Self, Wrong>> {
        match key {
            "destination.ip" => Some(Ok(Self::Address)),
            "destination.port" => Some(Ok(Self::Port)),
            "connection.sni" => Some(Ok(Self::ServerName)),
            _ => {
                let name = key.strip_prefix("experimental.").filter(|n| n.starts_with("envoy.filters."))?;
                Some(Self::of_metadata(name))
            }
        }
    }

    fn of_metadata(name: &str) -> Result<Self, Wrong> {
        let at = name.find('[').unwrap_or(name.len());
        let (filter, key) = name.split_at(at);
        match in_brackets(key).filter(|key| !key.is_empty()) {
            Some(key) => Ok(Self::Metadata { filter: filter.to_owned(), key: key.to_owned() }),
            None => Err(Wrong::new(
                format!("experimental.{name} names no key of a filter's metadata"),
                "write experimental.envoy.filters.FILTER[KEY]",
            )),
        }
    }
}

impl Attribute for What {
    type Node = Permission;

    fn is_of_http(&self) -> bool {
        matches!(self, Self::Host | Self::Method | Self::Path)
    }

    fn matcher(&self, value: &str) -> Result<Permission, Wrong> {
        Ok(permission(match self {
            // Names of hosts are the same in any case: RFC 4343.
            Self::Host => Rule::Header(matcher::header(":authority", value, true)),
            Self::Method => Rule::Header(matcher::header(":method", value, false)),
            Self::Path => path(value)?,
            Self::Port => Rule::DestinationPort(port(value)?),
            Self::Address => Rule::DestinationIp(range(value)?),
            Self::ServerName => Rule::RequestedServerName(matcher::value(value)),
            Self::Metadata { filter, key } => written(filter, key, in_metadata(value)),
        }))
    }

    fn of_list(&self, values: &[String]) -> Option<Permission> {
        let Self::Metadata { filter, key } = self else { return None };
        let values = values.iter().map(|value| in_metadata(value)).collect();
        Some(permission(written(filter, key, matcher::any(values))))
    }
}

/// The path alone is looked at, without what follows a `?` or `#`.
fn path(value: &str) -> Result<Rule, Wrong> {
    if !template::is_template(value) {
        let rule = Some(path_matcher::Rule::Path(matcher::value(value)));
        return Ok(Rule::UrlPath(PathMatcher { rule }));
    }
    let config = UriTemplateMatchConfig { path_template: template::spelt(value)? };
    Ok(Rule::UriTemplate(TypedExtensionConfig {
        name: "uri-template".to_owned(),
        typed_config: Some(pack_any(&config)),
    }))
}

fn port(value: &str) -> Result<u32, Wrong> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = value.parse::<u16>().ok().filter(|_| digits);
    number
        .map(u32::from)
        .ok_or_else(|| Wrong::new(format!("{value:?} is no port number"), "write a number from 1 to 65535"))
}

/// A range of addresses.
pub(super) fn range(value: &str) -> Result<envoy::config::core::v3::CidrRange, Wrong> {
    cidr(value).ok_or_else(|| {
        Wrong::new(format!("{value:?} is no range of addresses"), "write an address or a CIDR range")
    })
}

fn written(filter: &str, key: &str, value: ValueMatcher) -> Rule {
    Rule::Metadata(matcher::metadata(filter, [key], value))
}

/// A value in metadata; in brackets it is a member of a list.
fn in_metadata(value: &str) -> ValueMatcher {
    match in_brackets(value) {
        Some(member) => matcher::member(matcher::string(matcher::value(member))),
        None => matcher::string(matcher::value(value)),
    }
}
