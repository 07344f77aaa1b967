//! Which host of which ServiceEntry has which address. Pure.
//!
//! An address belongs to whoever states it in `spec.addresses`; else to the oldest of those in whose status it stands. All
//! others have to take another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::istio::{Resolution, ServiceEntry, ServiceEntryAddress};
use api::{Object, ObjectKey};
use ipnet::IpNet;
use model::config::Creation;

use super::pool::Pool;

/// The label by which a ServiceEntry is left out.
const ENABLE: &str = "networking.istio.io/enable-autoallocate-ip";

/// What matters of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The hosts that are to have addresses, each once.
    hosts: Vec<String>,
    /// Whether they are to have any.
    eligible: bool,
    /// The addresses that its owner gave it.
    own: Vec<IpAddr>,
    creation: Creation,
    /// What stands in its status.
    status: Vec<ServiceEntryAddress>,
}

impl Entry {
    /// What an object says.
    pub fn of(object: &Object<ServiceEntry>) -> Self {
        let (meta, spec) = (&object.meta, &object.spec);
        let left_out = meta.labels.get(ENABLE).is_some_and(|value| value.eq_ignore_ascii_case("false"));
        let mut hosts: Vec<String> = Vec::new();
        for host in &spec.hosts {
            let wildcard = host.starts_with('*') && spec.resolution != Resolution::DynamicDns;
            if !wildcard && !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        Self {
            hosts,
            eligible: spec.resolution != Resolution::None && spec.addresses.is_empty() && !left_out,
            own: spec.addresses.iter().filter_map(|text| address(text)).collect(),
            creation: meta.creation,
            status: spec.status.addresses.clone(),
        }
    }

    fn allotted(&self) -> impl Iterator<Item = (&str, IpAddr)> {
        self.status.iter().filter_map(|entry| Some((entry.host.as_str(), address(&entry.value)?)))
    }

    fn claims(&self, key: &ObjectKey) -> impl Iterator<Item = (IpAddr, Claim)> {
        let claim = |rank, address| (address, Claim { rank, creation: self.creation, key: key.clone() });
        let own = self.own.iter().map(move |address| claim(Rank::Own, *address));
        own.chain(self.allotted().map(move |(_, address)| claim(Rank::Allotted, address)))
    }
}

/// An address; what is mapped from IPv4 into IPv6 is that of IPv4.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Who says that an address is its own, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    rank: Rank,
    creation: Creation,
    key: ObjectKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Own,
    Allotted,
}

/// What a status is to say instead of what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What was seen there.
    pub(super) seen: Vec<ServiceEntryAddress>,
    /// What is to stand there.
    pub(super) wanted: Vec<ServiceEntryAddress>,
}

/// The state of all ServiceEntries, and what was handed out and does not stand in a status yet.
#[derive(Debug)]
pub(super) struct Allocator {
    pools: [Pool; 2],
    entries: BTreeMap<ObjectKey, Entry>,
    claims: BTreeMap<IpAddr, BTreeSet<Claim>>,
    /// By ServiceEntry and host.
    handed_out: BTreeMap<ObjectKey, BTreeMap<String, Vec<IpAddr>>>,
    reserved: BTreeSet<IpAddr>,
    /// Whether a prefix was told to be used up.
    told: bool,
}

impl Allocator {
    /// Hands out addresses of two prefixes, one of each family to each host.
    pub(super) fn new(v4: IpNet, v6: IpNet) -> Self {
        Self {
            pools: [Pool::new(v4), Pool::new(v6)],
            entries: BTreeMap::new(),
            claims: BTreeMap::new(),
            handed_out: BTreeMap::new(),
            reserved: BTreeSet::new(),
            told: false,
        }
    }

    /// Takes a ServiceEntry as it is now, or none if it is gone; which have to be looked at because of it.
    pub(super) fn set(&mut self, key: &ObjectKey, entry: Option<Entry>) -> BTreeSet<ObjectKey> {
        let mut concerned = BTreeSet::from([key.clone()]);
        let old = self.entries.remove(key);
        for (address, claim) in old.iter().flat_map(|old| old.claims(key)) {
            if let Some(claims) = self.claims.get_mut(&address) {
                claims.remove(&claim);
                concerned.extend(claims.iter().map(|claim| claim.key.clone()));
                if claims.is_empty() {
                    self.claims.remove(&address);
                }
            }
        }
        for (address, claim) in entry.iter().flat_map(|entry| entry.claims(key)) {
            let claims = self.claims.entry(address).or_default();
            claims.insert(claim);
            concerned.extend(claims.iter().map(|claim| claim.key.clone()));
        }
        match entry {
            Some(entry) => drop(self.entries.insert(key.clone(), entry)),
            None => self.free(key),
        }
        concerned
    }

    /// What is to be written into a ServiceEntry's status; none if that is what stands there. New addresses are handed out
    /// for it, which nobody else gets until [`Allocator::written`] or [`Allocator::free`].
    pub(super) fn change(&mut self, key: &ObjectKey) -> Option<Change> {
        let entry = self.entries.get(key)?.clone();
        let mut held = BTreeMap::new();
        if entry.eligible {
            let mut taken = BTreeSet::new();
            for host in &entry.hosts {
                let here = entry.allotted().filter(|(of, _)| of == host).map(|(_, address)| address);
                let mut addresses: Vec<IpAddr> =
                    here.filter(|address| self.is_of(address, key) && taken.insert(*address)).collect();
                self.complete(key, host, &mut addresses);
                addresses.sort_by_key(IpAddr::is_ipv6);
                held.insert(host, addresses);
            }
        }
        let one = |host: &String, address: &IpAddr| ServiceEntryAddress {
            value: address.to_string(),
            host: host.clone(),
        };
        let wanted: Vec<ServiceEntryAddress> = entry
            .hosts
            .iter()
            .flat_map(|host| held.get(host).into_iter().flatten().map(move |address| one(host, address)))
            .collect();
        (!same(&entry.status, &wanted)).then_some(Change { seen: entry.status, wanted })
    }

    /// Adds an address of each family that is missing: one that was handed out to this host before, or a new one.
    fn complete(&mut self, key: &ObjectKey, host: &str, addresses: &mut Vec<IpAddr>) {
        for pool in &mut self.pools {
            if addresses.iter().any(|address| pool.is_of(address)) {
                continue;
            }
            let before = self.handed_out.get(key).and_then(|hosts| hosts.get(host));
            if let Some(address) = before.into_iter().flatten().find(|address| pool.is_of(address)) {
                addresses.push(*address);
                continue;
            }
            let used =
                |address: &IpAddr| self.claims.contains_key(address) || self.reserved.contains(address);
            match pool.take(used) {
                Some(address) => {
                    self.reserved.insert(address);
                    let hosts = self.handed_out.entry(key.clone()).or_default();
                    hosts.entry(host.to_owned()).or_default().push(address);
                    addresses.push(address);
                }
                None if !self.told => {
                    self.told = true;
                    tracing::error!(
                        prefix = %pool.prefix(),
                        "all addresses for hosts of ServiceEntries are in use: hosts without one get none; set \
                         PILOT_IP_AUTOALLOCATE_IPV4_PREFIX or PILOT_IP_AUTOALLOCATE_IPV6_PREFIX to a larger prefix"
                    );
                }
                None => {}
            }
        }
    }

    /// A ServiceEntry's status says this now.
    pub(super) fn written(
        &mut self,
        key: &ObjectKey,
        wanted: Vec<ServiceEntryAddress>,
    ) -> BTreeSet<ObjectKey> {
        self.free(key);
        match self.entries.get(key).cloned() {
            Some(entry) => self.set(key, Some(Entry { status: wanted, ..entry })),
            None => BTreeSet::new(),
        }
    }

    /// What was handed out to a ServiceEntry was not written.
    pub(super) fn free(&mut self, key: &ObjectKey) {
        for address in self.handed_out.remove(key).unwrap_or_default().values().flatten() {
            self.reserved.remove(address);
        }
    }

    /// The ServiceEntries that are there.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.entries.keys()
    }

    /// Whether an address in the status of this ServiceEntry is its own.
    fn is_of(&self, address: &IpAddr, key: &ObjectKey) -> bool {
        let strongest = self.claims.get(address).and_then(BTreeSet::first);
        strongest.is_some_and(|claim| claim.rank == Rank::Allotted && claim.key == *key)
    }
}

/// Whether two statuses say the same, in whatever order and form of addresses.
fn same(seen: &[ServiceEntryAddress], wanted: &[ServiceEntryAddress]) -> bool {
    let read = |entries: &[ServiceEntryAddress]| -> BTreeSet<(String, Option<IpAddr>)> {
        entries.iter().map(|entry| (entry.host.clone(), address(&entry.value))).collect()
    };
    seen.len() == wanted.len() && read(seen) == read(wanted)
}
