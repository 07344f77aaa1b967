//! Rules of what an HTTP rule does beside routing.

use api::Duration;
use api::istio::{
    CorsPolicy, FaultAbort, FaultDelay, HeaderOperations, Headers, HttpDirectResponse, HttpFaultInjection,
    HttpRedirect, HttpRetry, HttpRewrite, HttpRoute,
};

use super::check::Check;
use super::text::{header_name, is_token, not_negative, optional_port, percent, regex, time, whole_percent};
use super::virtual_service::destination;

/// Conditions of Envoy's router for HTTP and gRPC.
const RETRY_ON: [&str; 17] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
    "unknown",
];
/// The longest body of a direct response, and that from which it is worth a word, in bytes.
const BODY: usize = 1024 * 1024;
const LARGE_BODY: usize = 100 * 1024;

pub(super) fn redirect(check: &mut Check, redirect: &HttpRedirect) {
    let says = !redirect.uri.is_empty()
        || !redirect.authority.is_empty()
        || !redirect.scheme.is_empty()
        || !redirect.prefix_rewrite.is_empty()
        || redirect.port.is_some()
        || redirect.derive_port.is_some()
        || redirect.redirect_code != 0;
    if !says {
        check.error("", "the redirect changes nothing", "write uri, authority, scheme or port");
    }
    if !redirect.uri.is_empty() && !redirect.prefix_rewrite.is_empty() {
        check.error("prefixRewrite", "the path is changed in two ways", "keep uri or prefixRewrite");
    }
    if redirect.port.is_some() && redirect.derive_port.is_some() {
        check.error("derivePort", "the port is said in two ways", "keep port or derivePort");
    }
    optional_port(check, "port", redirect.port.unwrap_or_default());
    if redirect.redirect_code != 0 && !matches!(redirect.redirect_code, 301 | 302 | 303 | 307 | 308) {
        let message = format!("{} is no status of a redirect", redirect.redirect_code);
        check.error("redirectCode", message, "write 301, 302, 303, 307 or 308");
    }
    if !matches!(redirect.scheme.as_str(), "" | "http" | "https") {
        check.error("scheme", format!("{:?} is no scheme", redirect.scheme), "write http or https");
    }
}

pub(super) fn direct_response(check: &mut Check, response: &HttpDirectResponse) {
    status(check, "status", i64::from(response.status));
    check.some("body", response.body.as_ref(), |check, body| {
        let length = match (&body.string, &body.bytes) {
            (Some(text), None) => text.len(),
            (None, Some(bytes)) => bytes.0.len(),
            (None, None) => {
                return check.error("", "the body is empty", "write string or bytes, or leave it out");
            }
            (Some(_), Some(_)) => return check.error("", "the body is given twice", "keep string or bytes"),
        };
        if length >= BODY {
            check.error("", format!("the body has {length} bytes"), format!("write fewer than {BODY}"));
        } else if length >= LARGE_BODY {
            let hint = "serve large answers from a workload";
            check.warning(
                "",
                format!("the body has {length} bytes, which every proxy holds in memory"),
                hint,
            );
        }
    });
}

fn status(check: &mut Check, field: &str, status: i64) {
    if !(200..600).contains(&status) {
        check.error(field, format!("{status} is no status of an answer"), "write a number from 200 to 599");
    }
}

pub(super) fn rewrite(check: &mut Check, rewrite: &HttpRewrite) {
    if rewrite.uri.is_empty() && rewrite.authority.is_empty() && rewrite.uri_regex_rewrite.is_none() {
        check.error("", "the rewrite changes nothing", "write uri, authority or uriRegexRewrite");
    }
    if !rewrite.uri.is_empty() && rewrite.uri_regex_rewrite.is_some() {
        check.error("uriRegexRewrite", "the path is changed in two ways", "keep uri or uriRegexRewrite");
    }
    check.some("uriRegexRewrite", rewrite.uri_regex_rewrite.as_ref(), |check, rewrite| {
        regex(check, "match", &rewrite.r#match);
        if rewrite.rewrite.is_empty() {
            check.error(
                "rewrite",
                "what takes the place of the match is missing",
                "write it; \\1 stands for the first group",
            );
        }
    });
}

pub(super) fn retries(check: &mut Check, retries: &HttpRetry) {
    not_negative(check, "attempts", retries.attempts);
    if retries.attempts == 0 && (retries.per_try_timeout.is_some() || !retries.retry_on.is_empty()) {
        check.error(
            "attempts",
            "0 attempts turn retries off, so the other fields say nothing",
            "write the number of attempts",
        );
    }
    time(check, "perTryTimeout", retries.per_try_timeout.filter(|span| !span.is_zero()));
    time(check, "backoff", retries.backoff);
    for word in retries.retry_on.split(',').map(str::trim) {
        let known =
            RETRY_ON.contains(&word) || word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code));
        if !retries.retry_on.is_empty() && !known {
            check.error(
                "retryOn",
                format!("{word:?} is no condition of Envoy"),
                format!("write {}", RETRY_ON.join(", ")),
            );
        }
    }
}

pub(super) fn fault(check: &mut Check, fault: &HttpFaultInjection) {
    if fault.delay.is_none() && fault.abort.is_none() {
        check.error("", "the fault does nothing", "write delay or abort");
    }
    check.some("delay", fault.delay.as_ref(), |check, delay: &FaultDelay| {
        whole_percent(check, "percent", delay.percent);
        percent(check, "percentage.value", delay.percentage.as_ref().map(|p| p.value));
        if delay.exponential_delay.is_some() {
            check.error("exponentialDelay", "Envoy has no such delay", "write fixedDelay");
        } else if delay.fixed_delay.is_none() {
            check.error("fixedDelay", "the delay is missing", "write how long it is, such as 5s");
        }
        time(check, "fixedDelay", delay.fixed_delay);
    });
    check.some("abort", fault.abort.as_ref(), |check, abort: &FaultAbort| {
        percent(check, "percentage.value", abort.percentage.as_ref().map(|p| p.value));
        match (abort.http_status, &abort.grpc_status, &abort.http2_error) {
            (Some(code), None, None) => status(check, "httpStatus", i64::from(code)),
            (None, Some(_), None) => {}
            (None, None, Some(_)) => {
                check.error("http2Error", "Envoy has no such fault", "write httpStatus or grpcStatus")
            }
            (None, None, None) => {
                check.warning("", "the abort has no status, so nothing is aborted", "write httpStatus")
            }
            _ => check.error("", "the abort has more than one status", "keep httpStatus or grpcStatus"),
        }
    });
}

pub(super) fn cors(check: &mut Check, policy: &CorsPolicy) {
    check.each("allowOrigins", &policy.allow_origins, |check, origin| {
        let given = [&origin.exact, &origin.prefix, &origin.regex].into_iter().flatten();
        match given.map(String::as_str).collect::<Vec<_>>().as_slice() {
            [""] => check.error("", "the origin is empty", "write an origin, such as https://example.com"),
            [_] => {}
            _ => {
                check.error("", "the origin needs exactly one match", "write one of exact, prefix and regex")
            }
        }
        if let Some(expression) = &origin.regex {
            regex(check, "regex", expression);
        }
    });
    check.each("allowMethods", &policy.allow_methods, |check, method| {
        if !is_token(method) {
            check.error("", format!("{method:?} is no method"), "write a method, such as GET");
        }
    });
    for (field, names) in [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)]
    {
        check.each(field, names, |check, name| header_name(check, "", name));
    }
    let fraction = |age: Duration| age.subsec_nanos() != 0;
    if policy.max_age.is_some_and(fraction) {
        check.error("maxAge", "browsers count whole seconds", "write a number of seconds, such as 24h");
    }
}

/// Copies of requests.
pub(super) fn mirrors(check: &mut Check, rule: &HttpRoute) {
    check.some("mirror", rule.mirror.as_ref(), destination);
    check.each("mirrors", &rule.mirrors, |check, mirror| {
        check.at("destination", |check| destination(check, &mirror.destination));
        percent(check, "percentage.value", mirror.percentage.as_ref().map(|p| p.value));
    });
    if rule.mirror.is_some() && !rule.mirrors.is_empty() {
        check.error("mirrors", "copies are asked for in two ways", "keep mirror or mirrors");
    }
    percent(check, "mirrorPercentage.value", rule.mirror_percentage.as_ref().map(|p| p.value));
    if let Some(share) = rule.mirror_percent {
        if share > 100 {
            check.error(
                "mirrorPercent",
                format!("{share} is no share in percent"),
                "write a number from 0 to 100",
            );
        }
        check.warning("mirrorPercent", "the field is deprecated", "write mirrorPercentage");
    }
}

pub(super) fn headers(check: &mut Check, headers: &Headers) {
    check.some("request", headers.request.as_ref(), operations);
    check.some("response", headers.response.as_ref(), operations);
}

fn operations(check: &mut Check, operations: &HeaderOperations) {
    for (field, pairs) in [("set", &operations.set), ("add", &operations.add)] {
        for (name, value) in pairs {
            header_name(check, &format!("{field}[{name}]"), name);
            if value.contains(['\r', '\n', '\0']) {
                let hint = "write one line of text";
                check.error(&format!("{field}[{name}]"), "the value holds a line break or NUL", hint);
            }
        }
    }
    check.each("remove", &operations.remove, |check, name| header_name(check, "", name));
}

/// Whether request headers set the authority.
pub(super) fn sets_authority(headers: Option<&Headers>) -> bool {
    let authority = |name: &String| name.eq_ignore_ascii_case("host") || name == ":authority";
    let request = headers.and_then(|headers| headers.request.as_ref());
    request.is_some_and(|request| request.set.keys().chain(request.add.keys()).any(authority))
}
