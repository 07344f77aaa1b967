//! Whether a client sees what a client of no namespace sees.

use model::mesh::VirtualServiceEntry;
use model::visibility::ExportTo;
use model::{Mesh, Ref};

use crate::class::SharedView;

/// Whether the scope of the view, to which no Sidecar applies, is that of a client of no namespace. `false` is always
/// right: the scopes may be equal nevertheless.
pub(crate) fn is_plain(mesh: &Mesh, view: &SharedView) -> bool {
    let client = &*view.namespace;
    let services = &mesh.services;
    let repeated = services.repeated().iter().flat_map(|host| services.of_host(host));
    services
        .all()
        .iter()
        .all(|s| s.export_to == ExportTo::All || is_foreign(&s.export_to, &s.namespace, client))
        && repeated.into_iter().all(|s| &*s.namespace != client)
        && mesh.virtual_services.all().iter().all(|v| is_alike(v, client))
}

/// Whether an object means nothing to the client, nor to one of no namespace.
fn is_foreign(export_to: &ExportTo, namespace: &str, client: &str) -> bool {
    namespace != client && !export_to.visible_to(client) && !export_to.visible_to("")
}

/// Whether a VirtualService means the same to the client as to one of no namespace, in the same place.
fn is_alike(entry: &Ref<VirtualServiceEntry>, client: &str) -> bool {
    let own = **entry.config.namespace() == *client;
    let alike = match &entry.export_to {
        ExportTo::All => !(own && entry.has_gateway_semantics()),
        export_to => is_foreign(export_to, entry.config.namespace(), client),
    };
    alike && !looks_for(entry, client)
}

/// Whether a match of a VirtualService is for clients of this namespace.
pub(crate) fn looks_for(entry: &VirtualServiceEntry, client: &str) -> bool {
    let matches = || entry.config.spec.http.iter().flat_map(|rule| &rule.r#match);
    entry.source_dependent && matches().any(|m| m.source_namespace == client)
}
