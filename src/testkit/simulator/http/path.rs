//! How a path is made plain before anything is matched.
//!
//! Source: `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action` in
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto>.

use anyhow::{Result, bail};
use envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction;

use super::super::{Reply, Request};

/// Changes the path as the manager asks, or answers in its place.
pub(super) fn normalize(manager: &HttpConnectionManager, request: &mut Request) -> Result<Result<(), Reply>> {
    let end = request.path.find(['?', '#']).unwrap_or(request.path.len());
    let (path, rest) = request.path.split_at(end);
    let (mut path, rest) = (path.to_owned(), rest.to_owned());
    let escaped = path.to_lowercase();
    if escaped.contains("%2f") || escaped.contains("%5c") {
        match manager.path_with_escaped_slashes_action() {
            PathWithEscapedSlashesAction::ImplementationSpecificDefault
            | PathWithEscapedSlashesAction::KeepUnchanged => {}
            PathWithEscapedSlashesAction::UnescapeAndForward => path = unescape(&path, b"/\\"),
            PathWithEscapedSlashesAction::RejectRequest => {
                return Ok(Err(Reply { status: 400, ..Reply::default() }));
            }
            other => bail!("the simulator does not know {other:?}"),
        }
    }
    if manager.normalize_path.is_some_and(|b| b.value) {
        path = plain(&path);
    }
    if manager.merge_slashes {
        while path.contains("//") {
            path = path.replace("//", "/");
        }
    }
    request.path = path + &rest;
    Ok(Ok(()))
}

/// Without dot segments (RFC 3986, 5.2.4), letters and digits without escapes, backslashes as slashes.
fn plain(path: &str) -> String {
    let unreserved: Vec<u8> =
        (0..=u8::MAX).filter(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b)).collect();
    let path = unescape(&path.replace('\\', "/"), &unreserved);
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Takes back the escapes of these bytes.
fn unescape(path: &str, of: &[u8]) -> String {
    let mut plain = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let byte =
            escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|b| of.contains(b));
        match byte {
            Some(byte) => {
                plain.push(char::from(byte));
                rest = escape.get(3..).unwrap_or_default();
            }
            None => {
                plain.push('%');
                rest = escape.get(1..).unwrap_or_default();
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::{plain, unescape};

    #[test]
    fn dots_and_needless_escapes_go() {
        for (given, made) in [
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/%41%2fb", "/A%2fb"),
            ("/a\\b", "/a/b"),
            ("/a//b/", "/a//b/"),
            ("/", "/"),
        ] {
            assert_eq!(plain(given), made, "{given}");
        }
        assert_eq!(unescape("/a%2Fb%5cc%2", b"/\\"), "/a/b\\c%2");
    }
}
