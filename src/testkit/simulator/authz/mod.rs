//! Authorization: RBAC, and external authorizers that are asked about what it marks.
//!
//! What an authorizer would say is the call's own business ([`Authorizer`]): nothing that a proxy is sent tells it.
//!
//! Sources: <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rbac_filter>,
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter>; Envoy
//! `source/extensions/filters/common/rbac/`.

mod ext_authz;
pub(super) mod facts;
mod metadata;
mod rbac;

use anyhow::Result;
use envoy::extensions::filters::http::ext_authz::v3::ExtAuthz;
use envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy::extensions::filters::network::ext_authz::v3::ExtAuthz as NetworkExtAuthz;
use envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;

use super::known;
use facts::Facts;
pub(super) use metadata::Metadata;

/// What an external authorizer says of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authorizer {
    /// It lets the call through.
    #[default]
    Allows,
    /// It refuses the call, of HTTP with this status.
    Denies(u16),
    /// It does not answer.
    Away,
}

/// What a filter says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It goes on.
    Nothing,
    /// It is refused: the status and body of HTTP's answer.
    Refused(u16, &'static str),
}

/// What RBAC answers.
const DENIED: &str = "RBAC: access denied";

/// The HTTP filter of RBAC.
pub(super) fn http_rbac(config: &HttpRbac, facts: &mut Facts<'_>) -> Result<Said> {
    known::only(config, &["rules", "shadow_rules", "shadow_rules_stat_prefix"], &[])?;
    if let Some(shadow) = &config.shadow_rules {
        let marked = rbac::decide(shadow, facts)?;
        facts.mark("envoy.filters.http.rbac", &config.shadow_rules_stat_prefix, &marked);
    }
    refused(config.rules.as_ref(), facts)
}

/// The same on connections that do not carry HTTP.
pub(super) fn network_rbac(config: &NetworkRbac, facts: &mut Facts<'_>) -> Result<Said> {
    known::only(config, &["rules", "shadow_rules", "shadow_rules_stat_prefix"], &["stat_prefix"])?;
    if let Some(shadow) = &config.shadow_rules {
        let marked = rbac::decide(shadow, facts)?;
        facts.mark("envoy.filters.network.rbac", &config.shadow_rules_stat_prefix, &marked);
    }
    refused(config.rules.as_ref(), facts)
}

fn refused(rules: Option<&envoy::config::rbac::v3::Rbac>, facts: &Facts<'_>) -> Result<Said> {
    let Some(rules) = rules else { return Ok(Said::Nothing) };
    Ok(if rbac::decide(rules, facts)?.allowed { Said::Nothing } else { Said::Refused(403, DENIED) })
}

/// The HTTP filter that asks an authorizer.
pub(super) fn http_authorizer(config: &ExtAuthz, facts: &Facts<'_>) -> Result<Said> {
    ext_authz::http(config, facts)
}

/// The same on connections that do not carry HTTP.
pub(super) fn network_authorizer(config: &NetworkExtAuthz, facts: &Facts<'_>) -> Result<Said> {
    ext_authz::network(config, facts)
}
