//! Claims of the token that a request came with, as the filter that checks tokens writes them into metadata.

use envoy::config::rbac::v3::Principal;
use envoy::config::rbac::v3::principal::Identifier;
use envoy::r#type::matcher::v3::{StringMatcher, ValueMatcher};

use super::attribute::{Wrong, in_brackets};
use super::matcher;
use super::node::{Node, principal};

/// The filter that checks tokens.
const FILTER: &str = "envoy.filters.http.jwt_authn";
/// The key under which it writes the claims.
const PAYLOAD: &str = "payload";

/// The path of a claim in brackets, `[a][b]`; brackets that do not pair up are part of one name.
pub(super) fn path(text: &str) -> Result<Vec<String>, Wrong> {
    let wrong = || {
        let hint = "write request.auth.claims[NAME], or [NAME][NAME] for a claim within one";
        Wrong::new(format!("request.auth.claims{text} names no claim"), hint)
    };
    let inner = in_brackets(text).ok_or_else(wrong)?;
    let parts: Vec<String> = inner.split("][").map(str::to_owned).collect();
    let path =
        if parts.iter().any(|part| part.contains(['[', ']'])) { vec![inner.to_owned()] } else { parts };
    if path.iter().any(String::is_empty) { Err(wrong()) } else { Ok(path) }
}

/// A claim that is one of the values, or a list with one of them.
pub(super) fn claim(path: &[String], values: &[String]) -> Principal {
    let values = values.iter().map(|value| matcher::string(matcher::value(value))).collect();
    let value = matcher::any(values);
    let path = path.iter().map(String::as_str);
    at(path, matcher::any(vec![matcher::member(value.clone()), value]))
}

/// One of these identities of tokens.
pub(super) fn principals(values: &[String]) -> Principal {
    let mut all: Vec<Principal> = values.iter().map(|value| principal_of(value)).collect();
    match all.pop() {
        Some(only) if all.is_empty() => only,
        last => {
            all.extend(last);
            Principal::any(all)
        }
    }
}

/// The identity of a token, `ISSUER/SUBJECT`; issuers are URLs, so the last slash parts them.
pub(super) fn principal_of(value: &str) -> Principal {
    let parted = value.rsplit_once('/');
    let (issuer, subject) = match (value.strip_prefix('*'), value.strip_suffix('*'), parted) {
        (Some(""), ..) => (matcher::present(), matcher::present()),
        (Some(_), _, Some((issuer, subject))) => (matcher::value(issuer), matcher::exact(subject)),
        (Some(end), _, None) => (matcher::present(), matcher::suffix(end)),
        (None, Some(_), Some((issuer, subject))) => (matcher::exact(issuer), ended(subject)),
        (None, Some(beginning), None) => (matcher::prefix(beginning), matcher::present()),
        (None, None, Some((issuer, subject))) => (matcher::exact(issuer), matcher::exact(subject)),
        (None, None, None) => (matcher::exact(value), matcher::exact("")),
    };
    let at = |name, wanted| at([name], matcher::string(wanted));
    Principal::all(vec![at("iss", issuer), at("sub", subject)])
}

/// A subject that ends in a star.
fn ended(subject: &str) -> StringMatcher {
    match subject.strip_suffix('*') {
        Some("") => matcher::present(),
        Some(beginning) => matcher::prefix(beginning),
        None => matcher::exact(subject),
    }
}

fn at<'a>(path: impl IntoIterator<Item = &'a str>, value: ValueMatcher) -> Principal {
    let path = [PAYLOAD].into_iter().chain(path);
    principal(Identifier::Metadata(matcher::metadata(FILTER, path, value)))
}
