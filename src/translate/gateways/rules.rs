//! The VirtualServices of a Gateway, in the order in which they count.

use model::Ref;
use model::mesh::VirtualServiceEntry;
use model::service::Service;

use crate::context::Context;

/// The VirtualServices that are bound to a Gateway (`<namespace>/<name>`) and seen by the router.
pub(crate) fn of_gateway<'a>(context: &Context<'a>, gateway: &str) -> Vec<&'a Ref<VirtualServiceEntry>> {
    let mut seen = context.mesh.virtual_services.visible_to(&context.view.namespace, None);
    seen.retain(|v| v.applies_to(gateway));
    seen
}

/// The service that a VirtualService of `namespace` means by a host when a router applies it: that of the
/// VirtualService's own namespace, if the router sees it.
pub(crate) fn service<'a>(context: &Context<'a>, host: &str, namespace: &str) -> Option<&'a Ref<Service>> {
    let services = &context.mesh.services;
    let router = &*context.view.namespace;
    let own = |s: &&Ref<Service>| *s.namespace == *namespace && s.export_to.visible_to(router);
    services.of_host(host).iter().find(own).or_else(|| services.visible(host, router))
}
