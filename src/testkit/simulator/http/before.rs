//! The HTTP filters that decide on a request whatever its route is: tokens, authorization.
//!
//! They run before a request for which there is no route is answered so.

use anyhow::{Context, Result};
use envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy::{type_name, unpack_any};

use super::super::authz::facts::Facts;
use super::super::authz::{self, Metadata, Said};
use super::super::downstream::Content;
use super::super::{Call, Reply, Request};
use super::{jwt, status};

/// Passes a request through these filters, in their order; the answer if it is refused.
pub(super) fn pass(
    manager: &HttpConnectionManager,
    call: &Call,
    content: &Content,
    request: &mut Request,
) -> Result<Option<Reply>> {
    let mut metadata = Metadata::default();
    for http in &manager.http_filters {
        let Some(ConfigType::TypedConfig(config)) = &http.config_type else { continue };
        let place = || format!("HTTP filter {}", http.name);
        if type_name(&config.type_url) == "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" {
            match jwt::verify(&unpack_any(config)?, request).with_context(place)? {
                Ok(None) => {}
                Ok(Some(claims)) => metadata.write("envoy.filters.http.jwt_authn", jwt::PAYLOAD, claims),
                Err(refused) => return Ok(Some(status(refused))),
            }
            continue;
        }
        let mut facts = Facts::of_request(manager, call, content, request);
        facts.metadata = metadata;
        let said = match type_name(&config.type_url) {
            "envoy.extensions.filters.http.rbac.v3.RBAC" => {
                authz::http_rbac(&unpack_any(config)?, &mut facts).with_context(place)?
            }
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" => {
                authz::http_authorizer(&unpack_any(config)?, &facts).with_context(place)?
            }
            _ => Said::Nothing,
        };
        metadata = facts.metadata;
        if let Said::Refused(code, body) = said {
            return Ok(Some(Reply { body: body.to_owned(), ..status(code) }));
        }
    }
    Ok(None)
}
