//! Rules of Ingress and IngressClass: what the API server itself refuses, for files that no API server has seen.
//!
//! Source: Kubernetes `pkg/apis/networking/validation/validation.go`.

use api::Object;
use api::kubernetes::{HttpIngressPath, Ingress, IngressBackend, IngressRule, IngressServiceBackend};

use super::check::Check;
use super::text::{is_ip, is_label, port};
use crate::ingress::CLASS;

/// What no path may have within it.
const WITHIN: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

/// What no path may end in.
const END: [&str; 2] = ["/..", "/."];

pub(super) fn ingress(check: &mut Check, object: &Object<Ingress>) {
    let spec = &object.spec;
    if spec.rules.is_empty() && spec.default_backend.is_none() {
        check.error("rules", "the Ingress has no rules", "list hosts with their paths");
    }
    if !spec.ingress_class_name.is_empty() && object.meta.annotations.contains_key(CLASS) {
        let message =
            format!("the class is named by the annotation {CLASS} too, which goes before the field");
        check.warning("ingressClassName", message, "remove the annotation");
    }
    check.some("defaultBackend", spec.default_backend.as_ref(), backend);
    check.each("tls", &spec.tls, |check, entry| {
        check.each("hosts", &entry.hosts, |check, host| self::host(check, "", host));
    });
    check.each("rules", &spec.rules, rule);
}

fn rule(check: &mut Check, rule: &IngressRule) {
    if !rule.host.is_empty() {
        host(check, "host", &rule.host);
    }
    check.some("http", rule.http.as_ref(), |check, http| {
        if http.paths.is_empty() {
            check.error("paths", "the rule has no paths", "list paths, such as / of type Prefix");
        }
        check.each("paths", &http.paths, path);
    });
}

/// A name in lower case whose first label may be `*`.
fn host(check: &mut Check, field: &str, host: &str) {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| is_label(label) && !label.bytes().any(|b| b.is_ascii_uppercase());
    if is_ip(host) || !name.split('.').all(label) {
        let hint = "write a DNS name in lower case; *. may stand before it";
        check.error(field, format!("{host:?} is no host name"), hint);
    }
}

fn path(check: &mut Check, path: &HttpIngressPath) {
    let (text, kind) = (path.path.as_str(), path.path_type.as_str());
    let known = ["Exact", "Prefix", "ImplementationSpecific"];
    if !known.contains(&kind) {
        let message = if kind.is_empty() {
            "the path has no type".to_owned()
        } else {
            format!("{kind:?} is no type of a path")
        };
        check.error("pathType", message, format!("write one of {}", known.join(", ")));
    }
    let open = !matches!(kind, "Exact" | "Prefix");
    let from_root = text.starts_with('/') || (open && text.is_empty());
    if !from_root {
        check.error("path", format!("{text:?} is no path from the root"), "begin the path with /");
    } else if !open
        && (WITHIN.iter().any(|part| text.contains(part)) || END.iter().any(|e| text.ends_with(e)))
    {
        let hint = format!("leave out {} and a {} at the end", WITHIN.join(", "), END.join(" or "));
        check.error("path", format!("{text:?} is not the shortest form of a path"), hint);
    }
    check.at("backend", |check| backend(check, &path.backend));
}

fn backend(check: &mut Check, backend: &IngressBackend) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            check.error("", "there are both service and resource", "leave the resource out")
        }
        (None, None) => check.error("", "there is no backend", "name a Service"),
        _ => {}
    }
    check.some("service", backend.service.as_ref(), service);
}

fn service(check: &mut Check, service: &IngressServiceBackend) {
    if !is_label(&service.name) {
        check.error("name", format!("{:?} is no name of a Service", service.name), "name a Service");
    }
    check.at("port", |check| match (service.port.name.is_empty(), service.port.number) {
        (true, 0) => check.error("", "there is no port", "name a port of the Service, or write its number"),
        (true, number) => port(check, "number", number),
        (false, 0) => {}
        (false, _) => check.error("name", "the port has both name and number", "leave one of them out"),
    });
}
