//! Who gets which address; and the controller against an API server in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::istio::{Resolution, ServiceEntry, ServiceEntryStatus};
use api::{Meta, Object};
use proptest::prelude::*;
use serde_json::{Value, json};
use sources::event::Event;
use sources::feed::Listener;
use testkit::kubernetes::FakeServer;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::discovered::namespaces;
use crate::testing::cluster;

const ENTRIES: &str = "/apis/networking.istio.io/v1/serviceentries";

fn key(name: &str) -> ObjectKey {
    ObjectKey { kind: Kind::ServiceEntry, namespace: "shop".into(), name: name.into() }
}

/// A ServiceEntry that was created at `creation`, with these hosts.
fn object(name: &str, creation: i64, hosts: &[&str]) -> Object<ServiceEntry> {
    let meta =
        Meta { namespace: "shop".into(), name: name.into(), creation: Some(creation), ..Meta::default() };
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Object { meta, spec: ServiceEntry { hosts, resolution: Resolution::Dns, ..ServiceEntry::default() } }
}

fn with_status(mut object: Object<ServiceEntry>, status: &[(&str, &str)]) -> Object<ServiceEntry> {
    let one = |(host, value): &(&str, &str)| ServiceEntryAddress {
        value: (*value).to_owned(),
        host: (*host).to_owned(),
    };
    object.spec.status = ServiceEntryStatus { addresses: status.iter().map(one).collect() };
    object
}

fn with_addresses(mut object: Object<ServiceEntry>, addresses: &[&str]) -> Object<ServiceEntry> {
    object.spec.addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    object
}

fn allocator() -> Allocator {
    Allocator::new("240.240.0.0/16".parse().expect("a prefix"), "2001:2::/48".parse().expect("a prefix"))
}

/// Lines `host=address` of what is to be written; none if nothing is.
fn wanted(allocator: &mut Allocator, name: &str) -> Option<Vec<String>> {
    let change = allocator.change(&key(name))?;
    Some(change.wanted.iter().map(|entry| format!("{}={}", entry.host, entry.value)).collect())
}

/// The same for one ServiceEntry alone.
fn alone(object: &Object<ServiceEntry>) -> Option<Vec<String>> {
    let mut allocator = allocator();
    allocator.set(&key(&object.meta.name), Some(Entry::of(object)));
    wanted(&mut allocator, &object.meta.name)
}

fn lines(lines: &[&str]) -> Option<Vec<String>> {
    Some(lines.iter().map(|line| (*line).to_owned()).collect())
}

#[test]
fn each_host_has_one_address_of_each_family() {
    let both = ["a=240.240.0.1", "a=2001:2::1", "b=240.240.0.2", "b=2001:2::2"];
    assert_eq!(alone(&object("e", 1, &["a", "b", "a"])), lines(&both));
    assert_eq!(
        alone(&with_status(object("e", 1, &["a"]), &[("a", "240.240.9.9"), ("a", "2001:2::9")])),
        None
    );
    let half = with_status(object("e", 1, &["a"]), &[("a", "240.240.9.9")]);
    assert_eq!(alone(&half), lines(&["a=240.240.9.9", "a=2001:2::1"]));
}

#[test]
fn who_is_not_eligible_has_none_and_what_stands_there_is_taken_away() {
    let plain = || object("e", 1, &["a"]);
    let mut none = plain();
    none.spec.resolution = Resolution::None;
    let mut out = plain();
    out.meta.labels.insert("networking.istio.io/enable-autoallocate-ip".to_owned(), "False".to_owned());
    for left_out in [none, out, with_addresses(plain(), &["10.0.0.1"])] {
        assert_eq!(alone(&left_out), None);
        assert_eq!(alone(&with_status(left_out, &[("a", "240.240.0.1")])), lines(&[]));
    }
    let mut on = plain();
    on.meta.labels.insert("networking.istio.io/enable-autoallocate-ip".to_owned(), "true".to_owned());
    assert!(alone(&on).is_some());
}

#[test]
fn wildcards_have_addresses_only_where_envoy_resolves_the_name_of_the_request() {
    let mut wild = object("e", 1, &["*.a", "b"]);
    assert_eq!(alone(&wild), lines(&["b=240.240.0.1", "b=2001:2::1"]));
    wild.spec.resolution = Resolution::DynamicDns;
    assert_eq!(alone(&wild).map(|lines| lines.len()), Some(4));
}

#[test]
fn a_host_that_is_gone_loses_its_addresses_and_the_others_keep_theirs() {
    let status = [("a", "240.240.0.7"), ("a", "2001:2::7"), ("b", "240.240.0.8"), ("b", "2001:2::8")];
    let less = with_status(object("e", 1, &["b"]), &status);
    assert_eq!(alone(&less), lines(&["b=240.240.0.8", "b=2001:2::8"]));
    let more = with_status(object("e", 1, &["c", "b", "a"]), &status);
    let expected =
        ["c=240.240.0.1", "c=2001:2::1", "b=240.240.0.8", "b=2001:2::8", "a=240.240.0.7", "a=2001:2::7"];
    assert_eq!(alone(&more), lines(&expected));
}

#[test]
fn of_two_with_one_address_the_older_keeps_it_and_an_owner_goes_before_both() {
    let mut allocator = allocator();
    let held = |name: &str, creation| {
        with_status(
            object(name, creation, &[name]),
            &[(name, "240.240.0.1"), (name, &format!("2001:2::{creation}"))],
        )
    };
    allocator.set(&key("young"), Some(Entry::of(&held("young", 9))));
    let concerned = allocator.set(&key("old"), Some(Entry::of(&held("old", 5))));
    assert_eq!(concerned, BTreeSet::from([key("old"), key("young")]));
    assert_eq!(wanted(&mut allocator, "old"), None);
    assert_eq!(wanted(&mut allocator, "young"), lines(&["young=240.240.0.2", "young=2001:2::9"]));
    let own = with_addresses(object("own", 20, &["own"]), &["240.240.0.1"]);
    let concerned = allocator.set(&key("own"), Some(Entry::of(&own)));
    assert!(concerned.contains(&key("old")));
    assert_eq!(wanted(&mut allocator, "old"), lines(&["old=240.240.0.3", "old=2001:2::5"]));
    assert_eq!(wanted(&mut allocator, "own"), None);
}

#[test]
fn what_is_handed_out_is_nobody_elses_until_it_is_freed() {
    let mut allocator = allocator();
    for name in ["a", "b", "c"] {
        allocator.set(&key(name), Some(Entry::of(&object(name, 1, &[name]))));
    }
    let first = wanted(&mut allocator, "a");
    assert_eq!(wanted(&mut allocator, "a"), first, "the same again while it is not written");
    assert_eq!(wanted(&mut allocator, "b"), lines(&["b=240.240.0.2", "b=2001:2::2"]));
    let change = allocator.change(&key("a")).expect("a change");
    allocator.written(&key("a"), change.wanted);
    assert_eq!(wanted(&mut allocator, "a"), None);
    allocator.free(&key("b"));
    assert_eq!(wanted(&mut allocator, "c"), lines(&["c=240.240.0.3", "c=2001:2::3"]));
}

#[test]
fn hosts_beyond_a_prefix_have_what_there_is() {
    let mut allocator =
        Allocator::new("10.0.0.0/31".parse().expect("a prefix"), "2001:2::/48".parse().expect("a prefix"));
    allocator.set(&key("e"), Some(Entry::of(&object("e", 1, &["a", "b"]))));
    assert_eq!(wanted(&mut allocator, "e"), lines(&["a=10.0.0.1", "a=2001:2::1", "b=2001:2::2"]));
}

/// What may happen to one of a few ServiceEntries.
#[derive(Clone, Debug)]
enum Happens {
    /// It is there with these hosts; others state an address of the prefix.
    Applied {
        name: usize,
        hosts: Vec<usize>,
        own: Option<u8>,
    },
    Deleted {
        name: usize,
    },
    /// What is to be written is refused.
    Refused {
        name: usize,
    },
    /// It is written.
    Written {
        name: usize,
    },
}

fn happens() -> impl Strategy<Value = Happens> {
    let name = 0..4_usize;
    prop_oneof![
        4 => (name.clone(), prop::collection::vec(0..3_usize, 1..3), prop::option::weighted(0.2, 1..9_u8))
            .prop_map(|(name, hosts, own)| Happens::Applied { name, hosts, own }),
        1 => name.clone().prop_map(|name| Happens::Deleted { name }),
        1 => name.clone().prop_map(|name| Happens::Refused { name }),
        4 => name.prop_map(|name| Happens::Written { name }),
    ]
}

/// The ServiceEntries as the API server has them.
type Cluster = BTreeMap<usize, Object<ServiceEntry>>;

/// Writes what is to be written for one; whether there was anything.
fn write(allocator: &mut Allocator, cluster: &mut Cluster, name: usize) -> bool {
    let key = key(&name.to_string());
    let Some(change) = allocator.change(&key) else { return false };
    let object = cluster.get_mut(&name).expect("an object");
    assert_eq!(change.seen, object.spec.status.addresses);
    object.spec.status.addresses.clone_from(&change.wanted);
    allocator.written(&key, change.wanted);
    true
}

proptest! {
    #[test]
    fn no_address_is_anybody_elses_and_what_a_host_has_it_keeps(all in prop::collection::vec(happens(), 1..40)) {
        let (mut allocator, mut cluster) = (allocator(), Cluster::new());
        for happening in all {
            match happening {
                Happens::Applied { name, hosts, own } => {
                    let hosts: Vec<String> = hosts.iter().map(|host| format!("h{host}")).collect();
                    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
                    let mut new = object(&name.to_string(), i64::try_from(name).expect("small"), &hosts);
                    if let Some(old) = cluster.get(&name) {
                        new.spec.status = old.spec.status.clone();
                    }
                    new.spec.addresses = own.iter().map(|own| format!("240.240.0.{own}")).collect();
                    allocator.set(&key(&name.to_string()), Some(Entry::of(&new)));
                    cluster.insert(name, new);
                }
                Happens::Deleted { name } => {
                    allocator.set(&key(&name.to_string()), None);
                    cluster.remove(&name);
                }
                Happens::Refused { name } => {
                    allocator.change(&key(&name.to_string()));
                    allocator.free(&key(&name.to_string()));
                }
                Happens::Written { name } => drop(write(&mut allocator, &mut cluster, name)),
            }
        }
        let names: Vec<usize> = cluster.keys().copied().collect();
        while names.iter().filter(|name| write(&mut allocator, &mut cluster, **name)).count() > 0 {}
        let mut seen = BTreeSet::new();
        for object in cluster.values() {
            let hosts: BTreeSet<&String> = object.spec.hosts.iter().collect();
            let allotted = &object.spec.status.addresses;
            let count = if object.spec.addresses.is_empty() { 2 * hosts.len() } else { 0 };
            prop_assert_eq!(allotted.len(), count);
            for entry in allotted {
                let address: IpAddr = entry.value.parse().expect("an address");
                prop_assert!(seen.insert(address), "{} twice", address);
            }
        }
        for own in cluster.values().flat_map(|object| &object.spec.addresses) {
            prop_assert!(!seen.contains(&own.parse::<IpAddr>().expect("an address")), "{} is its owner's", own);
        }
        // A replica that begins now writes nothing.
        let mut next = self::allocator();
        for (name, object) in &cluster {
            next.set(&key(&name.to_string()), Some(Entry::of(object)));
        }
        for name in &names {
            prop_assert_eq!(next.change(&key(&name.to_string())), None);
        }
    }
}

/// What the controller is told when the server has an object.
fn told(object: &Object<ServiceEntry>) -> Event {
    let key = key(&object.meta.name);
    Event { key, object: Some(Arc::new(AnyObject::ServiceEntry(Arc::new(object.clone())))) }
}

fn start(server: &FakeServer, objects: &[Object<ServiceEntry>]) -> (Feed<Entry>, AbortOnDropHandle<()>) {
    let cluster = cluster(server);
    let (entries, namespaces) = (feed(), namespaces());
    entries.take(&objects.iter().map(told).collect::<Vec<_>>());
    entries.complete();
    namespaces.complete();
    let controller = IpAllocator {
        writer: cluster.writers.of("addresses"),
        connection: cluster.connection,
        v4: "240.240.0.0/16".parse().expect("a prefix"),
        v6: "2001:2::/48".parse().expect("a prefix"),
        entries: entries.clone(),
        namespaces,
        settings: watch::channel(Some(Ref::default())).1,
    };
    let task = tokio::spawn(async move { controller.run(CancellationToken::new()).await });
    (entries, AbortOnDropHandle::new(task))
}

fn stored(server: &FakeServer, name: &str, status: Option<Value>) {
    let mut object = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"hosts": [name]}});
    if let Some(status) = status {
        object["status"] = status;
    }
    server.put(ENTRIES, object);
}

async fn until_addresses(server: &FakeServer, name: &str, values: &[&str]) {
    let addresses = || -> Vec<String> {
        let object = server.get(ENTRIES, "shop", name).expect("an object");
        let list = object.pointer("/status/addresses").and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|entry| entry["value"].as_str().expect("a value").to_owned()).collect()
    };
    let there = async {
        while addresses() != values {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), there).await.is_ok(), "{name}: {:?}", addresses());
}

#[tokio::test]
async fn addresses_are_written_into_whatever_status_there_is() {
    let server = FakeServer::start(&[ENTRIES]).await;
    stored(&server, "bare", None);
    stored(&server, "empty", Some(json!({"addresses": []})));
    stored(&server, "other", Some(json!({"conditions": [{"type": "Ready"}]})));
    let objects = ["bare", "empty", "other"].map(|name| object(name, 1, &[name]));
    let (_feed, _task) = start(&server, &objects);
    until_addresses(&server, "bare", &["240.240.0.1", "2001:2::1"]).await;
    until_addresses(&server, "empty", &["240.240.0.2", "2001:2::2"]).await;
    until_addresses(&server, "other", &["240.240.0.3", "2001:2::3"]).await;
    let other = server.get(ENTRIES, "shop", "other").expect("an object");
    assert_eq!(other["status"]["conditions"], json!([{"type": "Ready"}]));
}

#[tokio::test]
async fn a_status_that_is_another_by_now_is_left_alone_until_that_is_told() {
    let server = FakeServer::start(&[ENTRIES]).await;
    let theirs = json!([{"value": "240.240.7.7", "host": "a"}, {"value": "2001:2::7", "host": "a"}]);
    stored(&server, "a", Some(json!({"addresses": theirs})));
    stored(&server, "b", None);
    // The controller has not been told yet that another has written.
    let (feed, _task) = start(&server, &[object("a", 1, &["a"]), object("b", 1, &["b"])]);
    until_addresses(&server, "b", &["240.240.0.2", "2001:2::2"]).await;
    until_addresses(&server, "a", &["240.240.7.7", "2001:2::7"]).await;
    let now = with_status(object("a", 1, &["a"]), &[("a", "240.240.7.7"), ("a", "2001:2::7")]);
    feed.take(&[told(&now), told(&with_status(now.clone(), &[]))]);
    feed.take(&[told(&now)]);
    // A further host shows that it goes on from there.
    let mut more = now;
    more.spec.hosts.push("c".to_owned());
    feed.take(&[told(&more)]);
    until_addresses(&server, "a", &["240.240.7.7", "2001:2::7", "240.240.0.3", "2001:2::3"]).await;
}
