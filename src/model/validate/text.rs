//! Rules for the small values that many kinds hold: names, hosts, addresses, ports, times, shares, expressions.

use std::net::IpAddr;

use api::{Duration, F64};

use super::check::Check;
use crate::{cel, re2};

/// A millisecond in nanoseconds.
pub(super) const MILLISECOND: u64 = 1_000_000;
/// A second in nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;

/// The longest label of DNS and the longest name (RFC 1035 2.3.4).
const LABEL: usize = 63;
const NAME: usize = 255;

/// The longest expression that is taken, in bytes.
const REGEX: usize = 1024;

/// Whether a text is a DNS label (RFC 1123): letters, digits and inner hyphens.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= LABEL && bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last())
}

/// Whether a text is a host name: labels with dots between them, perhaps one at the end.
pub(super) fn is_fqdn(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    // Names of services of other systems have underscores.
    let label = |l: &str| is_label(&l.replace('_', "-"));
    !labels.is_empty() && text.len() <= NAME && labels.split('.').all(label)
}

/// Whether a text is a host name whose first label may be or begin with `*`.
pub(super) fn is_wildcard_fqdn(text: &str) -> bool {
    match text.strip_prefix('*') {
        None => is_fqdn(text),
        Some("") => true,
        Some(rest) => is_fqdn(rest.strip_prefix(['.', '-']).unwrap_or(rest)),
    }
}

/// Whether a text is an IP address.
pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Whether a text is an IP address with a prefix length.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    // As everybody writes it: neither +8 nor 08.
    length.parse::<u8>().is_ok_and(|number| number <= most && number.to_string() == length)
}

/// Whether a text is a token of HTTP (RFC 9110 5.6.2), as names of headers and methods are.
pub fn is_token(text: &str) -> bool {
    let mark = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || mark(b))
}

/// A host name, with or without `*` at its start.
pub(super) fn host(check: &mut Check, field: &str, text: &str) {
    if text.is_empty() {
        check.error(field, "the host is empty", "name a host");
    } else if !is_wildcard_fqdn(text) {
        check.error(
            field,
            format!("{text:?} is no host name"),
            "write a DNS name; * may stand for its first label only",
        );
    }
}

/// A port number that must be there.
pub(super) fn port(check: &mut Check, field: &str, number: u32) {
    if !(1..=65535).contains(&number) {
        check.error(field, format!("{number} is no port number"), "write a number from 1 to 65535");
    }
}

/// A port number of which 0 means none.
pub(super) fn optional_port(check: &mut Check, field: &str, number: u32) {
    if number != 0 {
        port(check, field, number);
    }
}

/// An address with an optional prefix length.
pub(super) fn subnet(check: &mut Check, field: &str, text: &str) {
    if !is_ip(text) && !is_cidr(text) {
        check.error(
            field,
            format!("{text:?} is no address"),
            "write an IP address, such as 10.0.0.1 or 10.0.0.0/8",
        );
    }
}

/// A span of time of at least a millisecond.
pub(super) fn time(check: &mut Check, field: &str, span: Option<Duration>) {
    if span.is_some_and(|span| span.as_nanos() < 1_000_000) {
        check.error(field, "the time is shorter than 1 ms", "write 1ms or more, or leave the field out");
    }
}

/// A port in a field that could hold negative numbers.
pub(super) fn signed_port(check: &mut Check, field: &str, number: i32) {
    port(check, field, u32::try_from(number).unwrap_or_default());
}

/// A time without fractions of a unit, which is given in nanoseconds.
pub(super) fn whole(check: &mut Check, field: &str, span: Option<Duration>, unit: u64) {
    if span.is_some_and(|span| !span.as_nanos().is_multiple_of(unit)) {
        let unit = if unit == SECOND { "s" } else { "ms" };
        check.error(field, format!("the time is not one of whole {unit}"), format!("round it to {unit}"));
    }
}

/// A span of time of which zero means none, and that has no fractions of a millisecond.
pub(super) fn time_or_zero(check: &mut Check, field: &str, span: Option<Duration>) {
    time(check, field, span.filter(|span| !span.is_zero()));
}

/// A share in percent.
pub(super) fn percent(check: &mut Check, field: &str, share: Option<F64>) {
    if let Some(share) = share.filter(|share| !(0.0..=100.0).contains(&share.get())) {
        check.error(field, format!("{} is no share in percent", share.get()), "write a number from 0 to 100");
    }
}

/// A share in whole percent.
pub(super) fn whole_percent(check: &mut Check, field: &str, share: i32) {
    if !(0..=100).contains(&share) {
        check.error(field, format!("{share} is no share in percent"), "write a number from 0 to 100");
    }
}

/// A number that may not be below zero.
pub(super) fn not_negative(check: &mut Check, field: &str, number: i32) {
    if number < 0 {
        check.error(field, format!("{number} is negative"), "write 0 or more");
    }
}

/// An expression of RE2.
pub(super) fn regex(check: &mut Check, field: &str, text: &str) {
    if text.is_empty() {
        check.error(field, "the expression is empty", "write an RE2 expression, or leave the field out");
    } else if text.len() > REGEX {
        check.error(
            field,
            format!("the expression has {} bytes", text.len()),
            format!("write at most {REGEX} bytes"),
        );
    } else if let Err(why) = re2::check(text) {
        check.error(field, format!("{text:?} is no RE2 expression: {why}"), "write it in RE2's syntax");
    }
}

/// An expression of CEL, of which only the syntax is looked at.
pub(super) fn condition(check: &mut Check, field: &str, text: &str) {
    if text.trim().is_empty() {
        check.error(field, "the expression is empty", "write a CEL expression, or leave the filter out");
    } else if let Err(why) = cel::check(text) {
        let hint = "write a CEL expression, such as response.code >= 400";
        check.error(field, format!("{text:?} is no CEL expression: {why}"), hint);
    }
}

/// The name of a header.
pub(super) fn header_name(check: &mut Check, field: &str, name: &str) {
    if !is_token(name.strip_prefix(':').unwrap_or(name)) {
        check.error(field, format!("{name:?} is no header name"), "write letters, digits and -");
    }
}

/// Namespaces that see an object.
pub(super) fn export_to(check: &mut Check, namespaces: &[String]) {
    let (mut all, mut none) = (false, false);
    for (index, namespace) in namespaces.iter().enumerate() {
        let field = format!("exportTo[{index}]");
        match namespace.as_str() {
            "*" => all = true,
            "~" => none = true,
            "." => {}
            name if is_label(name) => {}
            name => check.error(
                &field,
                format!("{name:?} is no namespace"),
                "write a name, \".\", \"*\" or \"~\"",
            ),
        }
        if namespaces.iter().take(index).any(|before| before == namespace) {
            check.error(&field, format!("{namespace:?} is listed twice"), "list each namespace once");
        }
    }
    if (all || none) && namespaces.len() > 1 {
        let mark = if all { "*" } else { "~" };
        check.error(
            "exportTo",
            format!("{mark:?} stands beside others"),
            format!("list {mark:?} alone, or leave it out"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["a", "a.b-c.d", "*", "*.example.com", "*-a.b", "svc_1.ns", "example.com."] {
            assert!(is_wildcard_fqdn(good), "{good}");
        }
        for bad in ["", ".", "a..b", "a.*.b", "-a", "a b", "*.", "a/b"] {
            assert!(!is_wildcard_fqdn(bad), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        assert!(is_cidr("10.0.0.0/8") && is_cidr("2001:db8::/32") && is_ip("::1"));
        assert!(!is_cidr("10.0.0.0/08") && !is_cidr("10.0.0.0/+8"));
        assert!(!is_cidr("10.0.0.0/33") && !is_cidr("10.0.0.0") && !is_cidr("a/8") && !is_ip("10.0.0"));
    }
}
