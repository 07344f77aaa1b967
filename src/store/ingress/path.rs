//! The path of an Ingress as the match of a route.
//!
//! Source: `shared/spec/observed.md` 79; Kubernetes `Ingress`, "Path types".

use std::cmp::Reverse;

use api::istio::{HttpRoute, StringMatch};
use api::kubernetes::HttpIngressPath;

/// What a path takes.
pub(super) enum Taken<'a> {
    /// Everything.
    All,
    /// This path.
    Exact(&'a str),
    /// All that begins with these segments.
    Prefix(&'a str),
}

/// What a path takes. Where its type leaves that open, a trailing `/*` or `.*` makes a prefix of it.
pub(super) fn taken(path: &HttpIngressPath) -> Taken<'_> {
    let text = path.path.as_str();
    match path.path_type.as_str() {
        "Exact" => Taken::Exact(text),
        "Prefix" => Taken::Prefix(text),
        _ if matches!(text, "" | "*" | "/*" | ".*") => Taken::All,
        _ => match text.strip_suffix(".*").or_else(|| text.strip_suffix("/*")) {
            Some(prefix) => Taken::Prefix(prefix),
            None => Taken::Exact(text),
        },
    }
}

impl Taken<'_> {
    /// As a match; none for everything.
    pub(super) fn matched(&self) -> Option<StringMatch> {
        match self {
            Self::All => None,
            Self::Exact(text) => {
                Some(StringMatch { exact: Some((*text).to_owned()), ..StringMatch::default() })
            }
            Self::Prefix(text) => {
                Some(StringMatch { prefix: Some((*text).to_owned()), ..StringMatch::default() })
            }
        }
    }
}

/// What puts a route before others: the longest path, and of two as long the exact one.
pub(super) fn order(route: &HttpRoute) -> impl Ord + use<> {
    let uri = route.r#match.first().and_then(|request| request.uri.as_ref());
    let exact = uri.and_then(|uri| uri.exact.as_ref());
    let length = exact.or_else(|| uri.and_then(|uri| uri.prefix.as_ref())).map_or(0, String::len);
    (Reverse(length), exact.is_none())
}
