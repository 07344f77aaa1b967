//! Fixed answers.

use api::istio::HttpDirectResponse;
use envoy::config::core::v3::DataSource;
use envoy::config::core::v3::data_source::Specifier;
use envoy::config::route::v3::DirectResponseAction;

use super::text::Wrong;
use crate::routes::MAX_DIRECT_RESPONSE;

/// The answer in Envoy's form, which takes final status codes and bodies of limited length only.
pub(super) fn build(wanted: &HttpDirectResponse) -> Result<DirectResponseAction, Wrong> {
    if !(200..600).contains(&wanted.status) {
        let message = format!("{} is no final status code: write 200 to 599", wanted.status);
        return Err(Wrong::new("directResponse.status", message));
    }
    let specifier = wanted.body.as_ref().and_then(|body| match (&body.string, &body.bytes) {
        (Some(text), _) => Some((text.len(), Specifier::InlineString(text.clone()))),
        (None, Some(bytes)) => Some((bytes.0.len(), Specifier::InlineBytes(bytes.0.clone()))),
        (None, None) => None,
    });
    if specifier.as_ref().is_some_and(|(length, _)| *length > MAX_DIRECT_RESPONSE as usize) {
        let message = format!("a body may have {MAX_DIRECT_RESPONSE} bytes at most");
        return Err(Wrong::new("directResponse.body", message));
    }
    let body = specifier.map(|(_, s)| DataSource { specifier: Some(s), ..DataSource::default() });
    Ok(DirectResponseAction { status: wanted.status, body, ..DirectResponseAction::default() })
}
