//! What of a rule Envoy refuses a whole listener for.
//!
//! Source: the constraints on `envoy.extensions.filters.http.jwt_authn.v3.JwtProvider`.

use api::istio::JwtRule;
use model::validate::is_token;

/// The first field that Envoy would refuse, with what is wrong with it.
pub(super) fn refused(rule: &JwtRule) -> Option<(String, String)> {
    let headers = rule.from_headers.iter().enumerate();
    let from = headers.clone().map(|(i, h)| (format!(".fromHeaders[{i}].name"), h.name.as_str()));
    let claims = rule.output_claim_to_headers.iter().enumerate();
    let to = claims.clone().map(|(i, c)| (format!(".outputClaimToHeaders[{i}].header"), c.header.as_str()));
    let payload = Some(rule.output_payload_to_header.as_str()).filter(|name| !name.is_empty());
    let payload = payload.map(|name| (".outputPayloadToHeader".to_owned(), name));
    if let Some((field, name)) = from.chain(to).chain(payload).find(|(_, name)| !is_token(name)) {
        return Some((field, format!("{name:?} is no header name")));
    }
    let breaks = |text: &str| text.contains(['\0', '\r', '\n']);
    if let Some((i, header)) = headers.clone().find(|(_, h)| breaks(&h.prefix)) {
        return Some((
            format!(".fromHeaders[{i}].prefix"),
            format!("{:?} cannot stand in a header", header.prefix),
        ));
    }
    let nameless = claims.clone().find(|(_, c)| c.claim.is_empty());
    nameless.map(|(i, _)| (format!(".outputClaimToHeaders[{i}].claim"), "the claim is missing".to_owned()))
}
