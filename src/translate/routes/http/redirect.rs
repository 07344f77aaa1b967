//! Redirects.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`ApplyRedirect`); `shared/spec/xds.md` 5.5.

use api::istio::{HttpRedirect, RedirectPortSelection};
use envoy::config::route::v3::RedirectAction;
use envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};

use super::Semantics;
use super::text::{self, Wrong};

/// What stands for the matched prefix in a uri of the Gateway API.
const MATCHED_PREFIX: &str = "%PREFIX()%";

/// A redirect of requests to a listener of `port`.
pub(super) fn build(
    wanted: &HttpRedirect,
    port: u16,
    tls: bool,
    semantics: Semantics,
) -> Result<RedirectAction, Wrong> {
    let uri = text::line(&wanted.uri, "redirect.uri")?;
    let path = if !wanted.prefix_rewrite.is_empty() {
        PathRewriteSpecifier::PrefixRewrite(text::line(&wanted.prefix_rewrite, "redirect.prefixRewrite")?)
    } else {
        match uri.strip_prefix(MATCHED_PREFIX).filter(|_| semantics == Semantics::Gateway) {
            Some(rest) => PathRewriteSpecifier::PrefixRewrite(rest.to_owned()),
            None => PathRewriteSpecifier::PathRedirect(uri),
        }
    };
    let scheme = text::line(&wanted.scheme, "redirect.scheme")?;
    Ok(RedirectAction {
        host_redirect: text::line(&wanted.authority, "redirect.authority")?,
        port_redirect: new_port(wanted, port, tls),
        response_code: code(wanted.redirect_code)?.into(),
        scheme_rewrite_specifier: (!scheme.is_empty())
            .then_some(SchemeRewriteSpecifier::SchemeRedirect(scheme)),
        path_rewrite_specifier: Some(path),
        ..RedirectAction::default()
    })
}

/// The new port; 0 for none. The usual port of a scheme goes without saying.
fn new_port(wanted: &HttpRedirect, port: u16, tls: bool) -> u32 {
    let asked = match (wanted.port, wanted.derive_port) {
        (Some(port), _) => port,
        (None, Some(RedirectPortSelection::FromRequestPort)) => u32::from(port),
        (None, _) => 0,
    };
    let scheme = match wanted.scheme.as_str() {
        "" if tls => "https",
        "" => "http",
        scheme => scheme,
    };
    if matches!((asked, scheme), (80, "http") | (443, "https")) { 0 } else { asked }
}

fn code(code: u32) -> Result<RedirectResponseCode, Wrong> {
    Ok(match code {
        0 | 301 => RedirectResponseCode::MovedPermanently,
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        other => {
            let message = format!("{other} is none of 301, 302, 303, 307, 308");
            return Err(Wrong::new("redirect.redirectCode", message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_ports_go_without_saying() {
        let derived = HttpRedirect {
            derive_port: Some(RedirectPortSelection::FromRequestPort),
            ..HttpRedirect::default()
        };
        assert_eq!(new_port(&derived, 80, false), 0);
        assert_eq!(new_port(&derived, 443, true), 0);
        assert_eq!(new_port(&derived, 443, false), 443);
        assert_eq!(new_port(&derived, 8080, false), 8080);
        let https = HttpRedirect { scheme: "https".to_owned(), ..derived };
        assert_eq!(new_port(&https, 443, false), 0);
    }

    #[test]
    fn other_codes_are_refused() {
        let wanted = HttpRedirect { redirect_code: 304, ..HttpRedirect::default() };
        let wrong = build(&wanted, 80, false, Semantics::Istio).unwrap_err();
        assert_eq!(wrong.field, "redirect.redirectCode");
    }
}
