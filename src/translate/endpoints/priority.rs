//! Priorities and weights of localities, as seen from the client.
//!
//! Source: Istio `pilot/pkg/networking/core/loadbalancer/loadbalancer.go`; `shared/spec/xds.md` 3.5, `observed.md` 23.

use std::collections::{BTreeMap, BTreeSet};

use api::istio::{LocalityDistribute, LocalityFailover};
use model::endpoint::Locality;

use super::group::Group;
use super::preference::Preference;
use super::{EndpointsKey, Place};

/// How many levels the distance of localities has: same subzone, zone, region, elsewhere, elsewhere and not where
/// the region fails over to.
const DISTANCES: u32 = 5;
/// How many a preference for zones has: same region, where it fails over to, elsewhere.
const REGION_DISTANCES: u32 = 3;
const NETWORK: &str = "topology.istio.io/network";

/// Gives the groups their priorities or weights.
pub(super) fn apply(groups: &mut Vec<Group<'_>>, key: &EndpointsKey) {
    let Some(place) = &key.place else { return };
    let policy = key.policy();
    let preference = Preference::of(policy.load_balancer, &key.service, &key.settings.mesh);
    if let Preference::Locality(locality) = preference
        && !locality.distribute.is_empty()
    {
        distribute(groups, &locality.distribute, &place.locality);
        return;
    }
    if !preference.prioritises(policy.outlier_detection.is_some()) {
        return;
    }
    let labels = preference.labels();
    if !labels.is_empty() {
        split_by_labels(groups, &labels, place);
    }
    let failover = preference.failover();
    let near = &place.locality;
    match preference {
        Preference::ZoneAware(_) => rank(groups, REGION_DISTANCES, |l| region_distance(near, l, failover)),
        _ if labels.is_empty() || !failover.is_empty() => {
            rank(groups, DISTANCES, |l| distance(near, l, failover));
        }
        _ => {}
    }
    compact(groups);
}

/// Refines the priorities that the groups have by the distance of their localities.
fn rank(groups: &mut [Group<'_>], levels: u32, distance: impl Fn(&Locality) -> u32) {
    for group in groups {
        group.priority = group.priority.saturating_mul(levels).saturating_add(distance(group.locality));
    }
}

fn distance(near: &Locality, far: &Locality, failover: &[LocalityFailover]) -> u32 {
    if near.region == far.region {
        return match (near.zone == far.zone, near.subzone == far.subzone) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        };
    }
    match failover.iter().find(|f| f.from == near.region) {
        Some(f) if f.to != far.region => 4,
        _ => 3,
    }
}

fn region_distance(near: &Locality, far: &Locality, failover: &[LocalityFailover]) -> u32 {
    if near.region == far.region {
        return 0;
    }
    match failover.iter().find(|f| f.from == near.region) {
        Some(f) if f.to != far.region => 2,
        _ => 1,
    }
}

/// Numbers the priorities from 0 without holes.
fn compact(groups: &mut [Group<'_>]) {
    let used: BTreeSet<u32> = groups.iter().map(|g| g.priority).collect();
    let numbers: BTreeMap<u32, u32> = used.into_iter().zip(0..).collect();
    for group in groups {
        group.priority = numbers.get(&group.priority).copied().unwrap_or_default();
    }
}

/// Splits every group by how many of the leading labels its endpoints share with the client: the more, the earlier.
fn split_by_labels(groups: &mut Vec<Group<'_>>, labels: &[&str], place: &Place) {
    let mut split = Vec::with_capacity(groups.len());
    for group in groups.drain(..) {
        let mut by_priority: BTreeMap<u32, Group<'_>> = BTreeMap::new();
        for member in group.members {
            let priority = mismatch(labels, place, |label| member.labels.get(label));
            let part = by_priority
                .entry(priority)
                .or_insert_with(|| Group { priority, ..Group::new(group.locality) });
            part.members.push(member);
        }
        split.extend(by_priority.into_values());
    }
    *groups = split;
    compact(groups);
}

/// 0 if all labels are shared; the earlier the first that is not, the more. Another network alone puts an endpoint
/// behind all of the own network, but leaves the other labels their meaning.
fn mismatch<'m>(labels: &[&str], place: &Place, of: impl Fn(&str) -> &'m str) -> u32 {
    let differs = |entry: &str| {
        let (label, wanted) = match entry.split_once('=') {
            Some((label, value)) => (label, value),
            None => (entry, place.labels.get(entry).map_or("", String::as_str)),
        };
        of(label) != wanted
    };
    let count = |list: &[&str]| u32::try_from(list.len()).unwrap_or(u32::MAX);
    match labels.split_first() {
        Some((&NETWORK, rest)) => {
            let offset = if differs(NETWORK) { count(labels) } else { 0 };
            let at = rest.iter().position(|l| differs(l)).and_then(|at| rest.get(at..));
            offset.saturating_add(at.map_or(0, count))
        }
        _ => labels.iter().position(|l| differs(l)).and_then(|at| labels.get(at..)).map_or(0, count),
    }
}

/// Shares traffic out among localities by the first entry for the client's own; what no share names gets none.
fn distribute(groups: &mut [Group<'_>], entries: &[LocalityDistribute], near: &Locality) {
    let Some(entry) = entries.iter().find(|e| covers(&e.from, near)) else { return };
    let mut left: BTreeSet<usize> = (0..groups.len()).collect();
    // More specific patterns sort behind `*`.
    for (pattern, percent) in entry.to.iter().rev() {
        let matching: Vec<(usize, u32)> = groups
            .iter()
            .enumerate()
            .filter(|(at, g)| left.contains(at) && covers(pattern, g.locality))
            .map(|(at, g)| (at, g.weight()))
            .collect();
        let total: u64 = matching.iter().map(|(_, w)| u64::from(*w)).sum();
        for (at, weight) in matching {
            left.remove(&at);
            let share = u64::from(weight).saturating_mul(u64::from(*percent));
            let share = share.checked_add(total.saturating_sub(1)).and_then(|s| s.checked_div(total));
            let share = share.and_then(|s| u32::try_from(s).ok()).filter(|s| *s > 0);
            if let (Some(group), Some(share)) = (groups.get_mut(at), share) {
                group.weight = Some(share);
            }
        }
    }
    for at in left {
        if let Some(group) = groups.get_mut(at) {
            group.weight = Some(group.weight());
            group.members.clear();
        }
    }
}

/// Whether a pattern such as `region/zone/*` covers a locality. A missing part is `*`.
fn covers(pattern: &str, locality: &Locality) -> bool {
    let pattern = Locality::parse(pattern);
    let part = |p: &str, l: &str| p.is_empty() || p == "*" || p == l;
    (pattern.region == "*" || pattern.region == locality.region)
        && part(&pattern.zone, &locality.zone)
        && part(&pattern.subzone, &locality.subzone)
}

#[cfg(test)]
mod tests;
