//! ExternalName Services: names of other services of the mesh.
//!
//! Source: `shared/spec/kubernetes.md` 2.1, `observed.md` 26.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Ref;
use model::service::{Alias, Service};

/// What the ExternalNames of a mesh make of each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Aliases {
    /// The ExternalNames that lead to each host, over chains; those of loops lead nowhere.
    to: BTreeMap<Arc<str>, BTreeSet<Alias>>,
    /// The host that each ExternalName leads to.
    from: BTreeMap<Arc<str>, Arc<str>>,
}

impl Aliases {
    /// The aliases that the ExternalNames among services are. The ExternalNames themselves stay, as services of
    /// resolution `Alias` that own nothing.
    pub(super) fn of<'a>(services: impl Iterator<Item = &'a Ref<Service>>) -> Self {
        let targets: BTreeMap<_, _> =
            services.filter_map(|s| Some((&s.host, (s.alias_of.as_ref()?, &s.namespace)))).collect();
        let mut aliases = Self::default();
        for (&host, &(named, namespace)) in &targets {
            let end = follow(host, &targets);
            if let Some(end) = end {
                let alias = Alias { host: Arc::clone(host), namespace: Arc::clone(namespace) };
                aliases.to.entry(Arc::clone(end)).or_default().insert(alias);
            }
            aliases.from.insert(Arc::clone(host), Arc::clone(end.unwrap_or(named)));
        }
        aliases
    }

    /// The service with the aliases that lead to it, and with where it leads to.
    pub(super) fn fold(&self, service: &Ref<Service>) -> Ref<Service> {
        let mut folded = Service::clone(service);
        match (&service.alias_of, self.to.get(&service.host)) {
            (Some(_), _) => folded.alias_of = self.from.get(&service.host).cloned(),
            (None, Some(aliases)) => folded.aliases = aliases.iter().cloned().collect(),
            (None, None) => return service.clone(),
        }
        Ref::new(folded)
    }

    /// The hosts that other names lead to, or that lead elsewhere, than in `before`.
    pub(super) fn differing<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<str>> {
        let reached = before.to.keys().chain(self.to.keys()).filter(|h| before.to.get(*h) != self.to.get(*h));
        let led = before.from.keys().chain(self.from.keys());
        reached.chain(led.filter(|h| before.from.get(*h) != self.from.get(*h)))
    }
}

/// The first name on the way from `host` that is not an alias itself; none for a loop.
fn follow<'a>(
    host: &'a Arc<str>,
    targets: &BTreeMap<&Arc<str>, (&'a Arc<str>, &Arc<str>)>,
) -> Option<&'a Arc<str>> {
    let mut seen = BTreeSet::new();
    let mut at = host;
    while let Some((next, _)) = targets.get(at) {
        if !seen.insert(at) {
            return None;
        }
        at = next;
    }
    Some(at)
}
