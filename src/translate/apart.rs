//! For which services a class is under other DestinationRules than the class below.

use std::collections::HashSet;
use std::sync::Arc;

use model::hostname;
use model::visibility::ExportTo;

use crate::context::Context;
use crate::scope::ScopedService;

/// The hosts of the services that the class sees and to which another DestinationRule applies, or none, than for the
/// class `below`. Both are of one mesh.
pub(crate) fn ruled(context: &Context<'_>, below: &Context<'_>) -> HashSet<Arc<str>> {
    let other = |s: &&ScopedService| context.rule(&s.service) != below.rule(&s.service);
    let differing = candidates(context).into_iter().filter(other);
    differing.map(|s| Arc::clone(&s.service.host)).collect()
}

/// The services for which that may be so.
fn candidates<'a>(context: &Context<'a>) -> Vec<&'a ScopedService> {
    let (scope, rules) = (context.scope, &context.mesh.destination_rules);
    let client = &*context.view.namespace;
    let all = || scope.services.iter();
    if client == context.settings().mesh.root_namespace || exported_to_some(context) {
        return all().collect();
    }
    let Some(local) = rules.local.get(client) else { return Vec::new() };
    let exact = local.exact.keys().filter_map(|host| scope.service(host));
    let covered =
        |s: &&ScopedService| local.wildcard.iter().any(|(w, _)| hostname::subset_of(&s.service.host, w));
    let wild = all().filter(|_| !local.wildcard.is_empty()).filter(covered);
    exact.chain(wild).collect()
}

/// Whether some rule of another namespace is exported to the client, or to that of no namespace, by name.
fn exported_to_some(context: &Context<'_>) -> bool {
    let sees = |e: &ExportTo| e.visible_to(&context.view.namespace) || e.visible_to("");
    let levels = context.mesh.destination_rules.exported.values();
    let mut exported =
        levels.flat_map(|l| l.exact.values().chain(l.wildcard.iter().map(|(_, r)| r))).flatten();
    exported.any(|rule| rule.export_to != ExportTo::All && sees(&rule.export_to))
}
