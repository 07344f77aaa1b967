//! The VirtualService of a host, from the rules that all Ingresses have for it.

use std::sync::Arc;

use api::Object;
use api::istio::{
    Destination, HttpMatchRequest, HttpRoute, HttpRouteDestination, PortSelector, VirtualService,
};
use api::kubernetes::{Ingress, IngressBackend, IngressRule};
use model::mesh::{RuleOrigin, RulePlace, VirtualServiceEntry};
use model::visibility::ExportTo;
use model::{Config, Labels, Ref, hostname};

use super::view::View;
use super::{MADE, gateway, path};
use crate::tables::Id;

/// The hosts for which there are rules with paths.
pub(super) fn hosts(spec: &Ingress) -> impl Iterator<Item = &str> {
    spec.rules.iter().filter(|rule| rule.http.is_some()).map(host)
}

/// The host of a rule; one that names none is for all.
pub(super) fn host(rule: &IngressRule) -> &str {
    if rule.host.is_empty() { "*" } else { &rule.host }
}

/// The Services whose ports are named by name.
pub(super) fn asks(object: &Object<Ingress>) -> impl Iterator<Item = Id> {
    let paths = object.spec.rules.iter().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
    let services = paths.filter_map(|path| path.backend.service.as_ref());
    let asked = services.filter(|service| service.port.number == 0);
    asked.map(|service| (Arc::clone(&object.meta.namespace), Arc::from(service.name.as_str())))
}

/// The number of the port that a backend names; none if no Service tells it.
pub(super) fn port(backend: &IngressBackend, namespace: &Arc<str>, view: &View<'_>) -> Option<u32> {
    let service = backend.service.as_ref()?;
    if service.port.number > 0 {
        return Some(service.port.number);
    }
    let known = view.service(&(Arc::clone(namespace), Arc::from(service.name.as_str())))?;
    known.ports.iter().find(|port| port.name == service.port.name).map(|port| port.port)
}

/// The VirtualService of a host, from the Ingresses that have rules for it, the oldest first; none if there are none. It is
/// bound to the Gateway of the oldest alone.
pub(super) fn of(
    wanted: &str,
    ingresses: &[&Object<Ingress>],
    view: &View<'_>,
) -> Option<Ref<VirtualServiceEntry>> {
    let first = &ingresses.first()?.meta;
    let mut rules: Vec<(HttpRoute, RuleOrigin)> = Vec::new();
    for object in ingresses {
        let of_host = object.spec.rules.iter().enumerate().filter(|(_, rule)| host(rule) == wanted);
        rules.extend(of_host.flat_map(|(index, rule)| routes(object, index, rule, view)));
    }
    rules.sort_by_key(|(route, _)| path::order(route));
    let (http, origins) = rules.into_iter().unzip();
    let namespace = &first.namespace;
    let config = Config {
        source: gateway::source(first),
        made: Some((Arc::clone(namespace), name(wanted, &first.name).into())),
        creation: None,
        labels: Labels::new(),
        annotations: [("internal.istio.io/route-semantics".to_owned(), "ingress".to_owned())].into(),
        spec: VirtualService {
            hosts: vec![hostname::resolve_short(wanted, namespace, &view.settings.domain)],
            gateways: vec![format!("{}/{}", view.namespace, gateway::name(first))],
            http,
            ..VirtualService::default()
        },
    };
    let default = &view.settings.mesh.default_virtual_service_export_to;
    let export_to = ExportTo::parse::<&str>(&[], namespace, default);
    let config = Ref::new(config);
    Some(Ref::new(VirtualServiceEntry { config, export_to, source_dependent: false, origins }))
}

fn name(host: &str, ingress: &str) -> String {
    format!("{}-{ingress}-{MADE}", host.replace('.', "-"))
}

/// The routes of a rule, and where each was written. A path that leads to no port of a Service has none.
fn routes(
    object: &Object<Ingress>,
    rule: usize,
    spec: &IngressRule,
    view: &View<'_>,
) -> Vec<(HttpRoute, RuleOrigin)> {
    let namespace = &object.meta.namespace;
    let paths = spec.http.iter().flat_map(|http| &http.paths).enumerate();
    paths
        .filter_map(|(index, path)| {
            let service = path.backend.service.as_ref()?;
            let number = port(&path.backend, namespace, view)?;
            let destination = Destination {
                host: hostname::of_service(&service.name, namespace, &view.settings.domain),
                port: Some(PortSelector { number }),
                ..Destination::default()
            };
            let matched = path::taken(path).matched();
            let request = |uri| HttpMatchRequest { uri: Some(uri), ..HttpMatchRequest::default() };
            let route = HttpRoute {
                r#match: matched.map(request).into_iter().collect(),
                route: vec![HttpRouteDestination { destination, weight: 100, ..Default::default() }],
                ..HttpRoute::default()
            };
            let place = RulePlace::Path { rule, path: index };
            Some((route, RuleOrigin { object: gateway::source(&object.meta), place }))
        })
        .collect()
}
