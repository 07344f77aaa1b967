//! Rules of the HTTP rules of a VirtualService: what they match, where they lead, which actions go together.

use std::collections::BTreeMap;

use api::istio::{HttpMatchRequest, HttpRoute, HttpRouteDestination, StringMatch};

use super::check::Check;
use super::http_actions as actions;
use super::text::{header_name, optional_port, regex, time};
use super::virtual_service::{destination, gateway, source_labels, weights_of};

/// Where a rule stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// In a VirtualService with hosts, not in a delegate.
    pub(super) root: bool,
    /// Bound to a gateway other than the mesh.
    pub(super) beyond: bool,
}

/// The mark of a header match that looks at a claim of a token.
const CLAIMS: &str = "@request.auth.claims";

pub(super) fn rule(check: &mut Check, rule: &HttpRoute, place: Place) {
    check.each("match", &rule.r#match, |check, matched| request(check, matched, place));
    leads_somewhere(check, rule, place);
    check.each("route", &rule.route, route);
    weights_of(check, &rule.route.iter().map(|to| to.weight).collect::<Vec<_>>());
    check.some("redirect", rule.redirect.as_ref(), actions::redirect);
    check.some("directResponse", rule.direct_response.as_ref(), actions::direct_response);
    check.some("rewrite", rule.rewrite.as_ref(), actions::rewrite);
    check.some("retries", rule.retries.as_ref(), actions::retries);
    check.some("fault", rule.fault.as_ref(), actions::fault);
    check.some("corsPolicy", rule.cors_policy.as_ref(), actions::cors);
    check.some("headers", rule.headers.as_ref(), actions::headers);
    actions::mirrors(check, rule);
    time(check, "timeout", rule.timeout.filter(|span| !span.is_zero()));
    if rule.rewrite.as_ref().is_some_and(|r| !r.authority.is_empty())
        && actions::sets_authority(rule.headers.as_ref())
    {
        let hint = "keep rewrite.authority, or the header";
        check.error("headers.request.set", "the authority is changed by rewrite and by a header", hint);
    }
}

/// Which of the ends of a rule it has, and what goes with them.
fn leads_somewhere(check: &mut Check, rule: &HttpRoute, place: Place) {
    if let Some(delegate) = &rule.delegate {
        if !place.root {
            check.error("delegate", "a delegate cannot delegate", "write the routes here");
        }
        if delegate.name.is_empty() {
            check.error("delegate.name", "the delegate has no name", "name a VirtualService without hosts");
        }
        if !rule.route.is_empty() || rule.redirect.is_some() || rule.direct_response.is_some() {
            let hint = "keep delegate, or the route";
            check.error("", "a rule that delegates has no route, redirect or answer of its own", hint);
        }
        return;
    }
    let ends = [!rule.route.is_empty(), rule.redirect.is_some(), rule.direct_response.is_some()];
    match ends.into_iter().filter(|given| *given).count() {
        0 => check.error("", "the rule leads nowhere", "write route, redirect, directResponse or delegate"),
        1 => {}
        _ => check.error(
            "",
            "the rule has more than one end",
            "keep one of route, redirect and directResponse",
        ),
    }
    if rule.redirect.is_some() || rule.direct_response.is_some() {
        for (field, given) in [("fault", rule.fault.is_some()), ("rewrite", rule.rewrite.is_some())] {
            if given && (field != "fault" || rule.redirect.is_some()) {
                check.error(
                    field,
                    "a request that is not forwarded cannot have this",
                    "leave it out, or write a route",
                );
            }
        }
    }
}

fn route(check: &mut Check, to: &HttpRouteDestination) {
    check.at("destination", |check| destination(check, &to.destination));
    check.some("headers", to.headers.as_ref(), actions::headers);
}

fn request(check: &mut Check, matched: &HttpMatchRequest, place: Place) {
    for (field, text) in [
        ("uri", &matched.uri),
        ("scheme", &matched.scheme),
        ("method", &matched.method),
        ("authority", &matched.authority),
    ] {
        check.some(field, text.as_ref(), |check, text| {
            if *text == StringMatch::default() {
                check.error("", "the match says nothing", "write exact, prefix or regex");
            }
            string(check, text);
        });
    }
    for (field, headers) in [("headers", &matched.headers), ("withoutHeaders", &matched.without_headers)] {
        matched_headers(check, field, headers, place);
    }
    for (name, text) in &matched.query_params {
        check.at(format_args!("queryParams[{name}]"), |check| string(check, text));
    }
    optional_port(check, "port", matched.port);
    source_labels(check, &matched.source_labels);
    check.each("gateways", &matched.gateways, |check, name| gateway(check, name));
}

fn matched_headers(check: &mut Check, field: &str, headers: &BTreeMap<String, StringMatch>, place: Place) {
    for (name, text) in headers {
        check.at(format_args!("{field}[{name}]"), |check| {
            if name.starts_with(CLAIMS) {
                if !place.beyond && place.root {
                    let hint = "name the gateway in gateways";
                    check.error("", "claims of tokens can be matched at gateways only", hint);
                }
            } else {
                header_name(check, "", name);
            }
            string(check, text);
        });
    }
}

fn string(check: &mut Check, text: &StringMatch) {
    let given = [text.exact.is_some(), text.prefix.is_some(), text.regex.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        check.error("", "the match says more than one thing", "keep one of exact, prefix and regex");
    }
    if text.prefix.as_deref() == Some("") {
        check.error("prefix", "the prefix is empty", "write a prefix, or leave the match out");
    }
    if let Some(expression) = &text.regex {
        regex(check, "regex", expression);
    }
}
