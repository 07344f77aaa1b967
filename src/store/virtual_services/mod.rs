//! VirtualServices as clients see them: full host names, gateways by namespace, delegates merged in.
//!
//! Source: Istio `pilot/pkg/model/virtualservice.go`; `shared/spec/xds.md` 5.7, 6.

mod conflicts;
mod delegates;
mod matches;
mod names;

use api::Problem;
use api::istio::VirtualService;
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
    // An object without hosts is a delegate and never stands for itself.
    let (delegates, roots): (Vec<_>, Vec<_>) =
        objects.map(|o| resolved(o, settings)).partition(|(c, _)| c.spec.hosts.is_empty());
    let delegates = delegates::Delegates::new(delegates);
    let mut problems = Vec::new();
    let entries = roots.into_iter().map(|(mut config, export_to)| {
        let origins = delegates.merge_into(&mut config, &mut problems);
        let source_dependent = config
            .spec
            .http
            .iter()
            .flat_map(|r| &r.r#match)
            .any(|m| !m.source_labels.is_empty() || !m.source_namespace.is_empty());
        Ref::new(VirtualServiceEntry { config: Ref::new(config), export_to, source_dependent, origins })
    });
    let section = VirtualServices::new(entries.collect());
    problems.extend(conflicts::of(section.all()));
    Built { section, problems }
}

/// The object with full names, and who sees it.
fn resolved(object: &Config<VirtualService>, settings: &Settings) -> (Config<VirtualService>, ExportTo) {
    let mut config = object.clone();
    names::resolve(&mut config, &settings.domain);
    let default = &settings.mesh.default_virtual_service_export_to;
    let export_to = ExportTo::parse(&object.spec.export_to, object.namespace(), default);
    (config, export_to)
}

#[cfg(test)]
mod tests;
