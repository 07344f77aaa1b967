//! Holding: a virtual host whose new form would name what does not exist, while its last form does not, keeps its last
//! form for a while. So the order in which a VirtualService and its DestinationRule are applied costs no request.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Ref;

use crate::key::{Entries, Key};
use crate::routes::{RouteKey, VirtualHostKey};

/// The new route configurations with the last form of what is held; whether there is any.
pub(super) fn hold(new: Entries, old: &Entries) -> (Entries, bool) {
    let mut held: Option<Vec<(Arc<str>, Key)>> = None;
    for (at, (name, key)) in new.iter().enumerate() {
        let Key::Route(route) = key else { continue };
        let last = old.binary_search_by(|(n, _)| n.cmp(name)).ok().and_then(|at| old.get(at));
        let Some((_, Key::Route(last))) = last else { continue };
        if route == last {
            continue;
        }
        if let Some(kept) = hold_hosts(route, last)
            && let Some(entry) = held.get_or_insert_with(|| new.to_vec()).get_mut(at)
        {
            entry.1 = Key::Route(Ref::new(kept));
        }
    }
    match held {
        Some(list) => (list.into(), true),
        None => (new, false),
    }
}

/// The configuration with the last form of those virtual hosts that are held, if any is.
fn hold_hosts(route: &RouteKey, last: &RouteKey) -> Option<RouteKey> {
    let dangling = |host: &&Ref<VirtualHostKey>| host.dangles();
    route.virtual_hosts.iter().find(dangling)?;
    let sound: BTreeMap<Arc<str>, &Ref<VirtualHostKey>> =
        last.virtual_hosts.iter().filter(|h| !h.dangles()).map(|h| (h.name(), h)).collect();
    let mut any = false;
    let hosts = route.virtual_hosts.iter().map(|host| {
        let kept = if host.dangles() { sound.get(&host.name()).copied() } else { None };
        any |= kept.is_some();
        kept.unwrap_or(host).clone()
    });
    let virtual_hosts = hosts.collect();
    any.then(|| RouteKey { virtual_hosts, ..route.clone() })
}

#[cfg(test)]
mod tests;
