//! ExternalName Services: names of other services of the mesh.
//!
//! Source: `shared/spec/kubernetes.md` 2.1, `observed.md` 26.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Ref;
use model::service::{Alias, Resolution, Service};

/// Where the target of an ExternalName waits until it is folded. Not a legal annotation key, so no user sets it.
pub(super) const TARGET: &str = "externalName";

/// The ExternalNames that lead to each host.
pub(crate) type Aliases = BTreeMap<Arc<str>, Vec<Alias>>;

/// The aliases that the ExternalNames among services are, over chains; loops lead nowhere. The ExternalNames
/// themselves stay, as services of resolution `Alias` that own nothing.
pub(super) fn of<'a>(services: impl Iterator<Item = &'a Ref<Service>>) -> Aliases {
    let targets: BTreeMap<Arc<str>, (Arc<str>, Arc<str>)> = services
        .filter(|s| s.resolution == Resolution::Alias)
        .filter_map(|s| {
            let target = s.annotations.get(TARGET)?;
            Some((Arc::clone(&s.host), (Arc::from(target.as_str()), Arc::clone(&s.namespace))))
        })
        .collect();
    let mut aliases: BTreeMap<Arc<str>, BTreeSet<Alias>> = BTreeMap::new();
    for (host, (_, namespace)) in &targets {
        if let Some(end) = follow(host, &targets) {
            let alias = Alias { host: Arc::clone(host), namespace: Arc::clone(namespace) };
            aliases.entry(end).or_default().insert(alias);
        }
    }
    aliases.into_iter().map(|(host, aliases)| (host, aliases.into_iter().collect())).collect()
}

/// The service with the aliases that lead to it.
pub(super) fn fold(service: &Ref<Service>, aliases: &Aliases) -> Ref<Service> {
    match aliases.get(&service.host) {
        Some(found) if service.resolution != Resolution::Alias => {
            Ref::new(Service { aliases: found.clone(), ..Service::clone(service) })
        }
        _ => service.clone(),
    }
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
