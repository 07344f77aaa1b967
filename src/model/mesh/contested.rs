//! Which services may have a domain in common with another service: an index that makes the usual mesh, where none
//! has, cost nothing when route configurations are planned.
//!
//! A service is listed if some client might see it under a domain under which it sees another one too. Being listed
//! only means that domains are compared; the comparison decides.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::content::Ref;
use crate::service::Service;

/// Services by host.
type ByHost = BTreeMap<Arc<str>, Ref<Vec<Ref<Service>>>>;

/// The hosts of the services that may compete for a domain; those that several services have, which are `repeated`,
/// among them.
pub(super) fn of(
    services: &[Ref<Service>],
    by_host: &ByHost,
    repeated: &BTreeSet<Arc<str>>,
) -> BTreeSet<Arc<str>> {
    let mut contested = repeated.clone();
    by_address(services, &mut contested);
    for service in services {
        for alias in &service.aliases {
            contested.insert(Arc::clone(&service.host));
            by_name(&alias.host, &service.host, by_host, &mut contested);
        }
        by_name(&service.host, &service.host, by_host, &mut contested);
    }
    contested
}

/// Services that share an address, as clients of some cluster see them.
fn by_address(services: &[Ref<Service>], contested: &mut BTreeSet<Arc<str>>) {
    let clusters: BTreeSet<&str> =
        services.iter().flat_map(|s| &s.remotes).map(|(cluster, _)| &**cluster).collect();
    for cluster in std::iter::once("").chain(clusters) {
        by_address_in(cluster, services, contested);
    }
}

fn by_address_in(cluster: &str, services: &[Ref<Service>], contested: &mut BTreeSet<Arc<str>>) {
    let mut owners: HashMap<&str, &Arc<str>> = HashMap::new();
    for service in services {
        let addresses = service.addresses_in(cluster).iter().chain(&service.auto_addresses);
        for address in addresses.filter(|a| &***a != Service::UNSPECIFIED) {
            let owner = *owners.entry(address).or_insert(&service.host);
            if *owner != service.host {
                contested.insert(Arc::clone(owner));
                contested.insert(Arc::clone(&service.host));
            }
        }
    }
}

/// Services that some client calls `name` for short, or that differ from it by case only: they and `owner` compete.
fn by_name(name: &str, owner: &Arc<str>, by_host: &ByHost, contested: &mut BTreeSet<Arc<str>>) {
    let mut lower = Cow::Borrowed(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        lower.to_mut().make_ascii_lowercase();
        contested.insert(Arc::clone(owner));
    }
    let plain = lower.strip_prefix("*.").unwrap_or(&lower);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    if plain.contains(".svc.") {
        // A full name of Kubernetes: nobody's short name. Only the same name in another form competes with it.
        if plain != name || name != &**owner {
            note(plain, owner, by_host, contested);
        }
        return;
    }
    note(plain, owner, by_host, contested);
    // `a`, `a.b` and `a.b.svc` are what `a.b.svc.<domain>` is called for short.
    let prefix = format!("{plain}.");
    let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
    let longer = by_host.range::<str, _>(from).take_while(|(host, _)| host.starts_with(&prefix));
    for (host, _) in longer.filter(|(host, _)| is_short_of(plain, host)) {
        contested.insert(Arc::clone(host));
        contested.insert(Arc::clone(owner));
    }
}

fn note(host: &str, owner: &Arc<str>, by_host: &ByHost, contested: &mut BTreeSet<Arc<str>>) {
    if let Some((found, _)) = by_host.get_key_value(host)
        && found != owner
    {
        contested.insert(Arc::clone(found));
        contested.insert(Arc::clone(owner));
    }
}

/// Whether some client calls the Kubernetes host `long` so.
fn is_short_of(short: &str, long: &str) -> bool {
    let Some((own, _)) = long.split_once(".svc.") else { return false };
    let label = own.split('.').next().unwrap_or(own);
    short == own || short == label || short.strip_suffix(".svc") == Some(own)
}
