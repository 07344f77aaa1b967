//! Templates of paths: `{*}` stands for one segment, `{**}` for all that follow.
//!
//! Envoy refuses a whole listener for one template of a wrong form. Source: Envoy
//! `source/extensions/path/uri_template_lib/uri_template_internal.cc`.

use super::attribute::Wrong;

const ONE: &str = "{*}";
const REST: &str = "{**}";

/// Whether a path is a template.
pub(super) fn is_template(path: &str) -> bool {
    path.contains(ONE) || path.contains(REST)
}

/// A template as Envoy spells it.
///
/// # Errors
/// Envoy would refuse it.
pub(super) fn spelt(path: &str) -> Result<String, Wrong> {
    let spelt = path.replace(REST, "**").replace(ONE, "*");
    let wrong = || {
        let hint = "begin with /, write {*} for a segment and {**} last for all that follow";
        Wrong::new(format!("{path:?} is no template of paths"), hint)
    };
    let segments = spelt.strip_prefix('/').ok_or_else(wrong)?;
    let mut segments = segments.split('/').peekable();
    let mut ended = false;
    while let Some(segment) = segments.next() {
        let operator = matches!(segment, "*" | "**");
        // Only the last segment may be empty: a slash at the end.
        let empty = segment.is_empty() && segments.peek().is_none();
        if !(operator || empty || is_literal(segment)) || (operator && ended) {
            return Err(wrong());
        }
        ended |= segment == "**";
    }
    Ok(spelt)
}

fn is_literal(segment: &str) -> bool {
    const SIGNS: &[u8] = b"-._~%!$&'()+,;:@";
    !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || SIGNS.contains(&b))
}
