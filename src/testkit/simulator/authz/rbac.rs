//! The engine of RBAC: which policy matches, and what follows from the action.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::CidrRange;
use envoy::config::rbac::v3::permission::Rule;
use envoy::config::rbac::v3::principal::{Authenticated, Identifier};
use envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac, rbac};
use envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy::r#type::matcher::v3::{PathMatcher, path_matcher};
use envoy::unpack_any;
use regex::Regex;

use super::facts::Facts;
use crate::simulator::chain::contains;
use crate::simulator::http::header;
use crate::simulator::{known, matcher};

/// What rules come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::simulator) struct Decision {
    pub(super) allowed: bool,
    /// The policy that matches, the first of them by name.
    pub(super) policy: Option<String>,
}

/// What rules say of a call.
pub(super) fn decide(rules: &Rbac, facts: &Facts<'_>) -> Result<Decision> {
    known::only(rules, &["action", "policies"], &[])?;
    let mut policy = None;
    for (name, one) in &rules.policies {
        if matches(one, facts).with_context(|| name.clone())? {
            policy = Some(name.clone());
            break;
        }
    }
    let allowed = match rules.action() {
        rbac::Action::Allow => policy.is_some(),
        rbac::Action::Deny => policy.is_none(),
        rbac::Action::Log => true,
    };
    Ok(Decision { allowed, policy })
}

fn matches(policy: &Policy, facts: &Facts<'_>) -> Result<bool> {
    known::only(policy, &["permissions", "principals"], &[])?;
    Ok(any(&policy.permissions, |p| permits(p, facts))? && any(&policy.principals, |p| is(p, facts))?)
}

fn any<T>(of: &[T], fits: impl Fn(&T) -> Result<bool>) -> Result<bool> {
    of.iter().try_fold(false, |found, one| Ok(found || fits(one)?))
}

fn all<T>(of: &[T], fits: impl Fn(&T) -> Result<bool>) -> Result<bool> {
    of.iter().try_fold(true, |whole, one| Ok(whole && fits(one)?))
}

fn permits(permission: &Permission, facts: &Facts<'_>) -> Result<bool> {
    Ok(match permission.rule.as_ref().context("an empty permission")? {
        Rule::Any(any) => *any,
        Rule::AndRules(set) => all(&set.rules, |p| permits(p, facts))?,
        Rule::OrRules(set) => any(&set.rules, |p| permits(p, facts))?,
        Rule::NotRule(not) => !permits(not, facts)?,
        Rule::Header(wanted) => facts.request.map_or(Ok(false), |request| header(wanted, request))?,
        Rule::UrlPath(wanted) => path(wanted, facts)?,
        Rule::UriTemplate(wanted) => {
            let config = wanted.typed_config.as_ref().context("a template without configuration")?;
            let template: UriTemplateMatchConfig = unpack_any(config)?;
            let template = template_of(&template)?;
            facts.request.is_some_and(|request| template.is_match(request.plain_path()))
        }
        Rule::DestinationIp(range) => within(range, facts.destination().ip())?,
        Rule::DestinationPort(port) => *port == u32::from(facts.destination().port()),
        Rule::Metadata(wanted) => facts.metadata.fits(wanted)?,
        Rule::RequestedServerName(wanted) => {
            let name = facts.call.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or_default();
            matcher::text(wanted, name)?
        }
        other => bail!("the simulator does not know the permission {other:?}"),
    })
}

fn is(principal: &Principal, facts: &Facts<'_>) -> Result<bool> {
    Ok(match principal.identifier.as_ref().context("an empty principal")? {
        Identifier::Any(any) => *any,
        Identifier::AndIds(set) => all(&set.ids, |p| is(p, facts))?,
        Identifier::OrIds(set) => any(&set.ids, |p| is(p, facts))?,
        Identifier::NotId(not) => !is(not, facts)?,
        Identifier::Authenticated(wanted) => authenticated(wanted, facts)?,
        Identifier::DirectRemoteIp(range) => within(range, facts.call.source.ip())?,
        Identifier::RemoteIp(range) => within(range, facts.client)?,
        Identifier::Header(wanted) => facts.request.map_or(Ok(false), |request| header(wanted, request))?,
        Identifier::Metadata(wanted) => facts.metadata.fits(wanted)?,
        other => bail!("the simulator does not know the principal {other:?}"),
    })
}

/// Whether one of the names of the client's certificate fits.
fn authenticated(wanted: &Authenticated, facts: &Facts<'_>) -> Result<bool> {
    let Some(tls) = facts.tls else { return Ok(false) };
    let Some(wanted) = &wanted.principal_name else { return Ok(true) };
    match tls.certificate.as_deref() {
        // The subject of a certificate that is not there, or has no names, is empty.
        None | Some([]) => matcher::text(wanted, ""),
        Some(names) => any(names, |name| matcher::text(wanted, name)),
    }
}

fn path(wanted: &PathMatcher, facts: &Facts<'_>) -> Result<bool> {
    let Some(path_matcher::Rule::Path(text)) = &wanted.rule else {
        bail!("a path of which nothing is asked")
    };
    facts.request.map_or(Ok(false), |request| matcher::text(text, request.plain_path()))
}

fn within(range: &CidrRange, address: IpAddr) -> Result<bool> {
    Ok(contains(range, Some(address))?.is_some())
}

/// A template as an expression of the whole path: `*` is some of a segment, `**` anything.
///
/// Source: Envoy `source/extensions/path/uri_template_lib/uri_template_internal.cc`.
fn template_of(template: &UriTemplateMatchConfig) -> Result<Regex> {
    let segments = template.path_template.split('/').map(|segment| match segment {
        "*" => r"[a-zA-Z0-9\-._~%!$&'()+,;:@]+".to_owned(),
        "**" => r"[a-zA-Z0-9\-._~%!$&'()+,;:@/]*".to_owned(),
        literal => regex::escape(literal),
    });
    Ok(Regex::new(&format!("^{}$", segments.collect::<Vec<_>>().join("/")))?)
}
