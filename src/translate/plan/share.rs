//! Equal virtual hosts of several classes are one allocation: most of what a class is planned as, others have as well.

use std::collections::{HashMap, HashSet};

use model::Ref;

use crate::key::{Entries, Key};
use crate::routes::{RouteKey, VirtualHostKey};

/// The entries, with the virtual hosts of `other` where these are equal.
pub(super) fn share(entries: Entries, other: &Entries) -> Entries {
    let known: HashMap<_, &Ref<RouteKey>> =
        other.iter().filter_map(|(name, key)| Some((name, route(key)?))).collect();
    let shared = entries.iter().map(|(name, key)| {
        let key = match (route(key), known.get(name)) {
            (Some(new), Some(other)) if new == *other => Key::Route((*other).clone()),
            (Some(new), Some(other)) => Key::Route(Ref::new(with_hosts_of(new, other))),
            _ => key.clone(),
        };
        (name.clone(), key)
    });
    shared.collect()
}

fn route(key: &Key) -> Option<&Ref<RouteKey>> {
    if let Key::Route(route) = key { Some(route) } else { None }
}

fn with_hosts_of(new: &RouteKey, other: &RouteKey) -> RouteKey {
    let known: HashSet<&Ref<VirtualHostKey>> = other.virtual_hosts.iter().collect();
    let hosts = new.virtual_hosts.iter().map(|host| Ref::clone(known.get(host).copied().unwrap_or(host)));
    RouteKey { name: new.name.clone(), virtual_hosts: hosts.collect() }
}
