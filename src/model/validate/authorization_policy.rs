//! Rules of AuthorizationPolicy.

use api::istio::{AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, Operation, Source};

use super::check::Check;
use super::identity::{service_account, stars, trust_domain};
use super::selector;
use super::text::subnet;

/// Keys of conditions without a part in brackets.
const KEYS: [&str; 12] = [
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.serviceAccount",
    "source.principal",
    "source.trustDomain",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "destination.ip",
    "destination.port",
    "connection.sni",
];
/// Keys of conditions with a part in brackets.
const KEYS_WITH_PART: [&str; 3] = ["request.headers[", "request.auth.claims[", "experimental.envoy.filters."];

pub(super) fn authorization_policy(check: &mut Check, policy: &AuthorizationPolicy) {
    selector::match_labels(check, policy.selector.as_ref());
    selector::targets(check, policy.selector.is_some(), policy.target_ref.as_ref(), &policy.target_refs);
    action(check, policy);
    check.each("rules", &policy.rules, rule);
}

fn action(check: &mut Check, policy: &AuthorizationPolicy) {
    let provider = policy.provider.as_ref();
    match policy.action {
        AuthorizationAction::Custom => {
            if policy.rules.is_empty() {
                check.error(
                    "rules",
                    "CUSTOM without rules asks nobody",
                    "write rules; an empty rule, {}, is for all requests",
                );
            }
            if provider.is_none_or(|provider| provider.name.is_empty()) {
                let hint = "name one of the mesh's extensionProviders";
                check.error("provider.name", "CUSTOM needs a provider that decides", hint);
            }
            check.each("rules", &policy.rules, custom);
        }
        _ if provider.is_some() => {
            check.error(
                "provider",
                "only the action CUSTOM has a provider",
                "leave it out, or write action CUSTOM",
            );
        }
        AuthorizationAction::Deny if policy.rules.is_empty() => {
            let hint = "write rules; an empty rule, {}, is for all requests";
            check.error("rules", "DENY without rules denies nothing", hint);
        }
        AuthorizationAction::Deny => check.each("rules", &policy.rules, denies_connections),
        _ => {}
    }
}

/// What an external authorizer's rules cannot look at: it is known only after authentication.
fn custom(check: &mut Check, rule: &AuthorizationRule) {
    let hint = "let the provider decide by it";
    check.each("from", &rule.from, |check, from| {
        let Some(source) = &from.source else { return };
        let lists = [
            ("namespaces", &source.namespaces, &source.not_namespaces),
            ("serviceAccounts", &source.service_accounts, &source.not_service_accounts),
            ("trustDomains", &source.trust_domains, &source.not_trust_domains),
            ("principals", &source.principals, &source.not_principals),
            ("requestPrincipals", &source.request_principals, &source.not_request_principals),
        ];
        for (field, values, excluded) in lists {
            if !values.is_empty() || !excluded.is_empty() {
                check.error(&format!("source.{field}"), "the action CUSTOM cannot look at identities", hint);
            }
        }
    });
    check.each("when", &rule.when, |check, condition| {
        let identity =
            ["source.namespace", "source.serviceAccount", "source.principal", "source.trustDomain"];
        if identity.contains(&condition.key.as_str()) || condition.key.starts_with("request.auth.") {
            check.error("key", "the action CUSTOM cannot look at identities", hint);
        }
    });
}

/// On ports of opaque TCP nothing is known of HTTP, and what denies must not be got around: such a rule denies them whole.
fn denies_connections(check: &mut Check, rule: &AuthorizationRule) {
    let operations = || rule.to.iter().filter_map(|to| to.operation.as_ref());
    let http = |o: &Operation| {
        [&o.hosts, &o.not_hosts, &o.methods, &o.not_methods, &o.paths, &o.not_paths]
            .iter()
            .any(|list| !list.is_empty())
    };
    let ported = |o: &Operation| !o.ports.is_empty() || !o.not_ports.is_empty();
    let by_port = rule.when.iter().any(|condition| condition.key == "destination.port");
    if operations().any(|o| http(o) && !ported(o)) && !by_port {
        let hint = "add the ports that speak HTTP";
        check.warning("to", "on ports of opaque TCP this rule denies every connection", hint);
    }
}

fn rule(check: &mut Check, rule: &AuthorizationRule) {
    check.each("from", &rule.from, |check, from| match &from.source {
        None => check.error("source", "the source is missing", "say who, or leave from out for everybody"),
        Some(source) => check.at("source", |check| self::source(check, source)),
    });
    check.each("to", &rule.to, |check, to| match &to.operation {
        None => {
            check.error("operation", "the operation is missing", "say what, or leave to out for everything")
        }
        Some(operation) => check.at("operation", |check| self::operation(check, operation)),
    });
    check.each("when", &rule.when, condition);
}

fn source(check: &mut Check, source: &Source) {
    if *source == Source::default() {
        check.error("", "the source is empty", "say who, or leave from out for everybody");
    }
    let lists = [
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
        ("trustDomains", &source.trust_domains),
        ("notTrustDomains", &source.not_trust_domains),
    ];
    for (field, values) in lists {
        check.each(field, values, |check, value| not_empty(check, value));
    }
    let accounts = !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
    let wider = [&source.namespaces, &source.not_namespaces, &source.principals, &source.not_principals];
    if accounts && wider.iter().any(|list| !list.is_empty()) {
        let hint = "keep serviceAccounts, or namespaces and principals";
        check.error("serviceAccounts", "a service account says its namespace itself", hint);
    }
    for (field, named) in
        [("serviceAccounts", &source.service_accounts), ("notServiceAccounts", &source.not_service_accounts)]
    {
        check.each(field, named, |check, account| service_account(check, account));
    }
    for (field, domains) in
        [("trustDomains", &source.trust_domains), ("notTrustDomains", &source.not_trust_domains)]
    {
        check.each(field, domains, |check, domain| trust_domain(check, domain));
    }
    for (field, ranges) in [
        ("ipBlocks", &source.ip_blocks),
        ("notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
    ] {
        check.each(field, ranges, |check, range| subnet(check, "", range));
    }
}

fn not_empty(check: &mut Check, value: &str) {
    if value.is_empty() {
        check.error("", "the value is empty", "write a value, or * for any that is there");
    }
}

fn operation(check: &mut Check, operation: &Operation) {
    if *operation == Operation::default() {
        check.error("", "the operation is empty", "say what, or leave to out for everything");
    }
    for (field, values) in [
        ("hosts", &operation.hosts),
        ("notHosts", &operation.not_hosts),
        ("methods", &operation.methods),
        ("notMethods", &operation.not_methods),
    ] {
        check.each(field, values, |check, value| not_empty(check, value));
    }
    for (field, ports) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
        check.each(field, ports, |check, port| number(check, port));
    }
    for (field, paths) in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
        check.each(field, paths, |check, path| self::path(check, path));
    }
}

fn number(check: &mut Check, port: &str) {
    if !port.parse::<u16>().is_ok_and(|number| number != 0) {
        check.error("", format!("{port:?} is no port number"), "write a number from 1 to 65535");
    }
}

/// A path, perhaps a template: `{*}` for one segment, `{**}` for the rest, which is the last operator.
fn path(check: &mut Check, path: &str) {
    not_empty(check, path);
    if !path.contains(['{', '}']) {
        return;
    }
    let hint = "write {*} for a segment and {**} last for all that follow";
    let segments: Vec<&str> = path.split('/').collect();
    let operator = |segment: &&str| matches!(*segment, "{*}" | "{**}");
    if segments.iter().any(|segment| segment.contains(['{', '}']) && !operator(segment)) {
        check.error("", format!("{path:?} is no template: an operator is a segment of its own"), hint);
    } else if path.replace("{*}", "").replace("{**}", "").contains('*') {
        check.error("", format!("{path:?} mixes * with operators of templates"), hint);
    } else if let Some(rest) = segments.iter().position(|segment| *segment == "{**}")
        && segments.iter().skip(rest + 1).any(operator)
    {
        check.error("", format!("{path:?} has an operator behind {{**}}"), hint);
    }
}

fn condition(check: &mut Check, condition: &Condition) {
    let key = condition.key.as_str();
    let with_part = KEYS_WITH_PART.iter().any(|known| key.starts_with(known) && key.ends_with(']'));
    if with_part && key.ends_with("[]") {
        check.error("key", format!("{key:?} names nothing in its brackets"), "write a name between [ and ]");
    } else if key.is_empty() {
        check.error("key", "the condition has no key", "name an attribute, such as request.headers[x-token]");
    } else if !KEYS.contains(&key) && !with_part {
        let hint =
            format!("name one of {}, or one of {}...]", KEYS.join(", "), KEYS_WITH_PART.join("...], "));
        check.error("key", format!("{key:?} is no attribute"), hint);
    }
    if condition.values.is_empty() && condition.not_values.is_empty() {
        check.error("values", "the condition has no values", "write values or notValues");
    }
    for (field, values) in [("values", &condition.values), ("notValues", &condition.not_values)] {
        check.each(field, values, |check, value| {
            not_empty(check, value);
            match key {
                "source.ip" | "remote.ip" | "destination.ip" => subnet(check, "", value),
                "destination.port" => number(check, value),
                "source.serviceAccount" => service_account(check, value),
                "source.trustDomain" => stars(check, value),
                _ => {}
            }
        });
    }
}
