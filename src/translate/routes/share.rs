//! Equal virtual hosts of several classes are one allocation: most of what a class is planned as, others have as well.

use std::collections::{HashMap, HashSet};

use model::Ref;

use super::{RouteKey, VirtualHostKey};
use crate::key::{Entries, Key};

/// The entries, with the virtual hosts of `other` where these are equal.
pub fn share(entries: Entries, other: &Entries) -> Entries {
    let known: HashMap<_, &Ref<RouteKey>> =
        other.iter().filter_map(|(name, key)| Some((name, route(key)?))).collect();
    let shared = entries.iter().map(|(name, key)| match (route(key), known.get(name)) {
        (Some(new), Some(other)) => (name.clone(), Key::Route(share_one(new, other))),
        _ => (name.clone(), key.clone()),
    });
    shared.collect()
}

/// The same for one configuration.
pub(super) fn share_one(new: &Ref<RouteKey>, other: &Ref<RouteKey>) -> Ref<RouteKey> {
    if new == other { other.clone() } else { Ref::new(with_hosts_of(new, other)) }
}

/// The key as that of a route configuration.
pub(super) fn route(key: &Key) -> Option<&Ref<RouteKey>> {
    if let Key::Route(route) = key { Some(route) } else { None }
}

fn with_hosts_of(new: &RouteKey, other: &RouteKey) -> RouteKey {
    let known: HashSet<&Ref<VirtualHostKey>> = other.virtual_hosts.iter().collect();
    let hosts = new.virtual_hosts.iter().map(|host| Ref::clone(known.get(host).copied().unwrap_or(host)));
    RouteKey { name: new.name.clone(), virtual_hosts: hosts.collect() }
}
