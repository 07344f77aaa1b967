//! The filters that ask an external authorizer, where the metadata that RBAC wrote says so.

use anyhow::{Result, bail};
use envoy::extensions::filters::http::ext_authz::v3::ExtAuthz;
use envoy::extensions::filters::http::ext_authz::v3::ext_authz::Services;
use envoy::extensions::filters::network::ext_authz::v3::ExtAuthz as NetworkExtAuthz;
use envoy::r#type::matcher::v3::MetadataMatcher;

use super::facts::Facts;
use super::{Authorizer, Said};
use crate::simulator::known;

const USED: &[&str] =
    &["filter_enabled_metadata", "failure_mode_allow", "status_on_error", "grpc_service", "http_service"];
/// They say what the authorizer is told, and what of its answer goes on.
const INERT: &[&str] = &["with_request_body", "transport_api_version", "allowed_headers"];
/// What a refusal by an authorizer that is away comes to.
const FORBIDDEN: u16 = 403;

/// What the HTTP filter says.
pub(super) fn http(config: &ExtAuthz, facts: &Facts<'_>) -> Result<Said> {
    known::only(config, USED, INERT)?;
    match &config.services {
        Some(Services::GrpcService(_) | Services::HttpService(_)) => {}
        None => bail!("no authorizer"),
    }
    let failed =
        config.status_on_error.as_ref().map_or(Ok(FORBIDDEN), |status| u16::try_from(status.code))?;
    Ok(match asked(config.filter_enabled_metadata.as_ref(), facts)? {
        false => Said::Nothing,
        true => answer(facts.call.authorizer, config.failure_mode_allow, failed),
    })
}

/// What the network filter says.
pub(super) fn network(config: &NetworkExtAuthz, facts: &Facts<'_>) -> Result<Said> {
    let inert = &["stat_prefix", "transport_api_version"];
    known::only(config, &["filter_enabled_metadata", "failure_mode_allow", "grpc_service"], inert)?;
    if config.grpc_service.is_none() {
        bail!("no authorizer");
    }
    Ok(match asked(config.filter_enabled_metadata.as_ref(), facts)? {
        false => Said::Nothing,
        true => answer(facts.call.authorizer, config.failure_mode_allow, FORBIDDEN),
    })
}

fn asked(enabled: Option<&MetadataMatcher>, facts: &Facts<'_>) -> Result<bool> {
    enabled.map_or(Ok(true), |matcher| facts.metadata.fits(matcher))
}

fn answer(authorizer: Authorizer, open: bool, failed: u16) -> Said {
    match authorizer {
        Authorizer::Allows => Said::Nothing,
        Authorizer::Denies(status) => Said::Refused(status, ""),
        Authorizer::Away if open => Said::Nothing,
        Authorizer::Away => Said::Refused(failed, ""),
    }
}
