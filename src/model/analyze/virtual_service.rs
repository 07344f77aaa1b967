//! VirtualServices: destinations, gateways and delegates that are not there, and older ones for the same host.

use api::Problem;
use api::istio::{Gateway, HttpRoute, RouteDestination, VirtualService};

use super::Subject;
use super::destination::destination;
use crate::config::Config;
use crate::content::Ref;
use crate::hostname::{overlaps, resolve_short};
use crate::mesh::{MESH, Mesh, VirtualServiceEntry};
use crate::validate::Check;
use crate::visibility::ExportTo;

/// Looks at all of an object but for what [`older`] tells.
pub(super) fn virtual_service(
    check: &mut Check,
    service: &VirtualService,
    subject: Subject<'_>,
    mesh: &Mesh,
) {
    for (index, rule) in service.http.iter().enumerate() {
        check.at(format_args!("http[{index}]"), |check| http(check, rule, subject, mesh));
    }
    connections(check, service, subject, mesh);
    gateways(check, service, subject, mesh);
}

/// Looks at what the mesh has made of an object: a rule is told where it was written, be it a
/// delegate or an Ingress.
pub(super) fn entry(entry: &VirtualServiceEntry, mesh: &Mesh, take: &mut impl FnMut(Vec<Problem>)) {
    let config = &entry.config;
    for (index, rule) in config.spec.http.iter().enumerate() {
        let (origin, place) = entry.origin(index);
        let subject = Subject { key: &origin.key, creation: config.creation };
        let mut check = Check::new(origin.key.clone());
        check.document(|check| http(check, rule, subject, mesh));
        let found = check.done().into_iter();
        take(found.map(|problem| Problem { field: place.field(&problem.field), ..problem }).collect());
    }
    let subject = Subject { key: &config.source.key, creation: config.creation };
    let mut check = Check::new(config.source.key.clone());
    connections(&mut check, &config.spec, subject, mesh);
    gateways(&mut check, &config.spec, subject, mesh);
    take(check.done());
}

fn http(check: &mut Check, rule: &HttpRoute, subject: Subject<'_>, mesh: &Mesh) {
    // The route of a rule that answers by itself is never taken.
    if rule.redirect.is_some() || rule.direct_response.is_some() {
        return;
    }
    check.each("route", &rule.route, |check, to| {
        check.at("destination", |check| destination(check, &to.destination, subject, mesh));
    });
    check.some("mirror", rule.mirror.as_ref(), |check, to| destination(check, to, subject, mesh));
    check.each("mirrors", &rule.mirrors, |check, to| {
        check.at("destination", |check| destination(check, &to.destination, subject, mesh));
    });
}

/// Rules for TLS and TCP.
fn connections(check: &mut Check, service: &VirtualService, subject: Subject<'_>, mesh: &Mesh) {
    let routes = |check: &mut Check, routes: &[RouteDestination]| {
        check.each("route", routes, |check, to| {
            check.at("destination", |check| destination(check, &to.destination, subject, mesh));
        });
    };
    check.each("tls", &service.tls, |check, rule| routes(check, &rule.route));
    check.each("tcp", &service.tcp, |check, rule| routes(check, &rule.route));
}

/// Gateways that are not there, and hosts that none of those named serves.
fn gateways(check: &mut Check, service: &VirtualService, subject: Subject<'_>, mesh: &Mesh) {
    let mut found = Vec::new();
    let mut known = true;
    for (index, name) in service.gateways.iter().enumerate().filter(|(_, name)| *name != MESH) {
        let (namespace, own) = name.split_once('/').unwrap_or_else(|| (subject.namespace(), name.as_str()));
        let gateway = mesh.gateways.of_namespace(namespace).iter().find(|g| **g.name() == *own);
        match gateway {
            Some(gateway) => found.push(gateway),
            // The old form NAME.NAMESPACE.svc..., of which validation tells.
            None if !name.contains('/') && name.contains('.') => known = false,
            None => {
                known = false;
                let message = format!("there is no Gateway {namespace}/{own}");
                check.warning(&format!("gateways[{index}]"), message, "define it, or name another");
            }
        }
    }
    if !known || found.is_empty() || service.gateways.iter().any(|name| name == MESH) {
        return;
    }
    for (index, host) in service.hosts.iter().enumerate() {
        let host = resolve_short(host, subject.namespace(), &mesh.settings.domain);
        let covers = |gateway: &&Ref<Config<Gateway>>| {
            let mut served = gateway.spec.servers.iter().flat_map(|server| &server.hosts);
            served.any(|served| {
                let (namespace, name) = served.split_once('/').unwrap_or(("*", served));
                let of = if namespace == "." { gateway.namespace() } else { namespace };
                (of == "*" || of == subject.namespace()) && overlaps(&host, &name.to_ascii_lowercase())
            })
        };
        if !found.iter().any(covers) {
            let names: Vec<String> = found.iter().map(|gateway| gateway.source.key.to_string()).collect();
            let message = format!("no server of {} has a host that covers {host:?}", names.join(", "));
            check.warning(&format!("hosts[{index}]"), message, "add the host to a server of the Gateway");
        }
    }
}

/// Tells the owner of a VirtualService that no sidecar ever applies it to some host, because an older one has it for the
/// same clients.
pub(super) fn older(check: &mut Check, service: &VirtualService, subject: Subject<'_>, mesh: &Mesh) {
    let in_mesh = service.gateways.is_empty() || service.gateways.iter().any(|name| name == MESH);
    if !in_mesh || service.http.is_empty() {
        return;
    }
    let namespace = &subject.key.namespace;
    let default = &mesh.settings.mesh.default_virtual_service_export_to;
    let export_to = ExportTo::parse(&service.export_to, namespace, default);
    for (index, host) in service.hosts.iter().enumerate() {
        let host = resolve_short(host, namespace, &mesh.settings.domain);
        let claims = |other: &VirtualServiceEntry| {
            let config = &other.config;
            subject.loses_to(&config.source.key, config.creation)
                && config.namespace() == namespace
                && other.export_to == export_to
                && other.claims(&host)
        };
        if let Some(other) = mesh.virtual_services.of_namespace(namespace).iter().find(|other| claims(other))
        {
            let (message, hint) = other.wins(&host);
            check.warning(&format!("hosts[{index}]"), message, hint);
        }
    }
}
