//! The VirtualServices of a Gateway, in the order in which they count.

use model::Ref;
use model::mesh::VirtualServiceEntry;
use model::service::Service;
use model::visibility::ExportTo;

use crate::context::Context;

/// The VirtualServices that are bound to a Gateway (`<namespace>/<name>`) and seen by the router: those that only the
/// router's namespace sees first, then those exported to named namespaces, then all others; each oldest first.
pub(crate) fn of_gateway<'a>(context: &Context<'a>, gateway: &str) -> Vec<&'a Ref<VirtualServiceEntry>> {
    let namespace = &*context.view.namespace;
    let all = context.mesh.virtual_services.all().iter();
    let mut bound: Vec<_> = all
        .filter(|v| v.export_to.visible_to(namespace))
        .filter(|v| v.config.spec.gateways.iter().any(|name| name == gateway))
        .collect();
    bound.sort_by_key(|v| match &v.export_to {
        ExportTo::All => 2,
        exported if exported.is_private(v.config.namespace()) => 0,
        _ => 1,
    });
    bound
}

/// The service that a VirtualService of `namespace` means by a host when a router applies it: that of the
/// VirtualService's own namespace, if the router sees it.
pub(crate) fn service<'a>(context: &Context<'a>, host: &str, namespace: &str) -> Option<&'a Ref<Service>> {
    let services = &context.mesh.services;
    let router = &*context.view.namespace;
    let own = |s: &&Ref<Service>| *s.namespace == *namespace && s.export_to.visible_to(router);
    services.of_host(host).iter().find(own).or_else(|| services.visible(host, router))
}
