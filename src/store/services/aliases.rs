//! ExternalName Services: names of other services of the mesh.
//!
//! Source: `shared/spec/kubernetes.md` 2.1, `observed.md` 26.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Ref;
use model::service::{Alias, Resolution, Service};

/// Where the target of an ExternalName waits until it is folded. Not a legal annotation key, so no user sets it.
pub(super) const TARGET: &str = "externalName";

/// Adds each ExternalName as an alias to the service that it leads to, over chains; loops lead nowhere. The
/// ExternalNames themselves stay, as services of resolution `Alias` that own nothing.
pub(super) fn fold(mut services: Vec<Ref<Service>>) -> Vec<Ref<Service>> {
    let targets: BTreeMap<Arc<str>, (Arc<str>, Arc<str>)> = services
        .iter()
        .filter(|s| s.resolution == Resolution::Alias)
        .filter_map(|s| {
            let target = s.annotations.get(TARGET)?;
            Some((Arc::clone(&s.host), (Arc::from(target.as_str()), Arc::clone(&s.namespace))))
        })
        .collect();
    if targets.is_empty() {
        return services;
    }
    let mut aliases: BTreeMap<Arc<str>, BTreeSet<Alias>> = BTreeMap::new();
    for (host, (_, namespace)) in &targets {
        if let Some(end) = follow(host, &targets) {
            let alias = Alias { host: Arc::clone(host), namespace: Arc::clone(namespace) };
            aliases.entry(end).or_default().insert(alias);
        }
    }
    for service in services.iter_mut().filter(|s| s.resolution != Resolution::Alias) {
        if let Some(found) = aliases.get(&service.host) {
            let mut with = Service::clone(service);
            with.aliases = found.iter().cloned().collect();
            *service = Ref::new(with);
        }
    }
    services
}

/// The first name on the way from `host` that is not an alias itself; none for a loop.
fn follow(host: &Arc<str>, targets: &BTreeMap<Arc<str>, (Arc<str>, Arc<str>)>) -> Option<Arc<str>> {
    let mut seen = BTreeSet::new();
    let mut at = host;
    while let Some((next, _)) = targets.get(at) {
        if !seen.insert(at) {
            return None;
        }
        at = next;
    }
    Some(Arc::clone(at))
}
