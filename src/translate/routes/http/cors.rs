//! Cross-origin resource sharing.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`TranslateCORSPolicy`); `shared/spec/xds.md` 5.5.

use api::istio::{CorsPolicy, StringMatch, UnmatchedPreflights};
use envoy::extensions::filters::http::cors::v3 as filter;
use envoy::r#type::matcher::v3::StringMatcher;

use super::percent;
use super::text::{self, Wrong};

/// The settings of the CORS filter for a route.
pub(super) fn build(wanted: &CorsPolicy) -> Result<filter::CorsPolicy, Wrong> {
    let origins = if wanted.allow_origins.is_empty() {
        let exact = |o: &String| StringMatch { exact: Some(o.clone()), ..StringMatch::default() };
        origins(wanted.allow_origin.iter().map(exact), "corsPolicy.allowOrigin")?
    } else {
        origins(wanted.allow_origins.iter().cloned(), "corsPolicy.allowOrigins")?
    };
    let list = |list: &[String], field: &str| text::line(&list.join(","), field);
    Ok(filter::CorsPolicy {
        allow_origin_string_match: origins,
        allow_methods: list(&wanted.allow_methods, "corsPolicy.allowMethods")?,
        allow_headers: list(&wanted.allow_headers, "corsPolicy.allowHeaders")?,
        expose_headers: list(&wanted.expose_headers, "corsPolicy.exposeHeaders")?,
        max_age: wanted.max_age.map(|age| age.secs().to_string()).unwrap_or_default(),
        allow_credentials: wanted.allow_credentials.map(Into::into),
        filter_enabled: Some(percent::fixed(percent::whole(100))),
        forward_not_matching_preflights: Some(
            (wanted.unmatched_preflights != UnmatchedPreflights::Ignore).into(),
        ),
        ..filter::CorsPolicy::default()
    })
}

fn origins(list: impl Iterator<Item = StringMatch>, field: &str) -> Result<Vec<StringMatcher>, Wrong> {
    list.enumerate()
        .map(|(index, origin)| {
            let field = format!("{field}[{index}]");
            text::matcher(&origin, &field)?
                .ok_or_else(|| Wrong::new(field, "exact, prefix or an RE2 expression is needed"))
        })
        .collect()
}
