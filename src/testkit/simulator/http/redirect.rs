//! Answers that routes give by themselves: redirects and direct responses.
//!
//! Source: `RedirectAction` and `DirectResponseAction` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>.

use anyhow::{Result, bail};
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use envoy::config::route::v3::{DirectResponseAction, RedirectAction};

use super::super::{Reply, Request, known};
use super::{Chosen, forward, status};

const USED: &[&str] = &[
    "host_redirect",
    "port_redirect",
    "response_code",
    "strip_query",
    "https_redirect",
    "scheme_redirect",
    "path_redirect",
    "prefix_rewrite",
    "regex_rewrite",
];

/// The answer of a redirect, with the new location.
pub(super) fn redirect(chosen: Chosen<'_>, action: &RedirectAction, request: &Request) -> Result<Reply> {
    known::only(action, USED, &[])?;
    let scheme = match &action.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => "https",
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => scheme,
        _ => &request.scheme,
    };
    let port = if action.port_redirect == 0 { String::new() } else { format!(":{}", action.port_redirect) };
    let host = if action.host_redirect.is_empty() {
        kept_host(request, scheme, !port.is_empty())
    } else {
        &action.host_redirect
    };
    let location = format!("{scheme}://{host}{port}{}", path(chosen, action, request)?);
    let code = match action.response_code() {
        RedirectResponseCode::MovedPermanently => 301,
        RedirectResponseCode::Found => 302,
        RedirectResponseCode::SeeOther => 303,
        RedirectResponseCode::TemporaryRedirect => 307,
        RedirectResponseCode::PermanentRedirect => 308,
    };
    Ok(Reply { headers: vec![("location".to_owned(), location)], ..status(code) })
}

/// The request's own host, without a port that is replaced or was only the usual one of the scheme.
fn kept_host<'a>(request: &'a Request, scheme: &str, new_port: bool) -> &'a str {
    let Some((host, port)) = request.authority.rsplit_once(':').filter(|(_, p)| p.parse::<u16>().is_ok())
    else {
        return &request.authority;
    };
    let usual = matches!((request.scheme.as_str(), port), ("https", "443") | ("http", "80"));
    if new_port || (scheme != request.scheme && usual) { host } else { &request.authority }
}

fn path(chosen: Chosen<'_>, action: &RedirectAction, request: &Request) -> Result<String> {
    let matched = chosen.route.r#match.as_ref();
    let (mut path, keeps_query) = match &action.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(to)) if !to.is_empty() => {
            let query = request.path.find('?').and_then(|at| request.path.get(at..)).unwrap_or_default();
            let own = to.contains('?');
            (if own { to.clone() } else { format!("{to}{query}") }, own)
        }
        Some(PathRewriteSpecifier::PrefixRewrite(to)) => {
            (forward::with_prefix(matched, to, &request.path)?, false)
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            (forward::by_regex(rewrite, &request.path)?, false)
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) => bail!("the simulator does not know path_rewrite"),
        _ => (request.path.clone(), false),
    };
    if action.strip_query && !keeps_query {
        path.truncate(path.find('?').unwrap_or(path.len()));
    }
    Ok(path)
}

/// The answer of a direct response.
pub(super) fn direct(action: &DirectResponseAction) -> Result<Reply> {
    known::only(action, &["status", "body"], &[])?;
    let body = match action.body.as_ref().and_then(|b| b.specifier.as_ref()) {
        None => String::new(),
        Some(Specifier::InlineString(text)) => text.clone(),
        Some(Specifier::InlineBytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(other) => bail!("the simulator does not know the body {other:?}"),
    };
    Ok(Reply { body, ..status(u16::try_from(action.status)?) })
}
