//! A mesh of the size of design section 4: 3,000 clusters and assignments, 1,000 listeners, and three route
//! configurations of 1,000 virtual hosts, planned for classes that differ from each other.

use std::sync::Arc;

use api::{ObjectRef, Problem};
use bytes::Bytes;
use xds::generate::{Built, BuiltPart, ContentHash, Fragment, Generate, LayerPlan, NodeInfo, Peer, Refusal};
use xds::kind::ResourceType;
use xds::slot::Slots;
use xxhash_rust::xxh3::xxh3_128;

/// How many services there are; each has three ports.
const SERVICES: usize = 1000;
const PORTS: usize = 3;

/// A value with its hash, as `model::Ref` is one.
pub(crate) struct Hashed<T>(Arc<(u128, T)>);

impl<T> Clone for Hashed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> ContentHash for Hashed<T> {
    fn content_hash(&self) -> u128 {
        self.0.0
    }
}

impl<T> Hashed<T> {
    fn new(identity: &str, value: T) -> Self {
        Self(Arc::new((xxh3_128(identity.as_bytes()), value)))
    }
}

/// The bytes of a resource, or its virtual hosts.
pub(crate) enum Resource {
    Bytes(Bytes),
    Hosts(Box<[Hashed<Bytes>]>),
}

pub(crate) type Key = Hashed<Resource>;
type List = Arc<[(Arc<str>, Key)]>;

/// What all classes share; a changed mesh has other lists.
#[derive(Clone)]
pub(crate) struct Mesh {
    lists: [List; ResourceType::COUNT],
    hosts: Vec<Hashed<Bytes>>,
}

/// Which lists differ from the last mesh.
#[derive(Default)]
pub(crate) struct Changes(pub(crate) Vec<ResourceType>);

pub(crate) struct Plan([List; ResourceType::COUNT]);

pub(crate) struct Benchmark;

fn bytes(seed: &str, len: usize) -> Bytes {
    seed.bytes().cycle().take(len).collect()
}

fn entry(kind: &str, name: &str, len: usize) -> (Arc<str>, Key) {
    let identity = format!("{kind} {name}");
    (name.into(), Hashed::new(&identity, Resource::Bytes(bytes(&identity, len))))
}

fn list(entries: impl Iterator<Item = (Arc<str>, Key)>) -> List {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into()
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let services =
            || (0..SERVICES).map(|at| format!("service-{at:04}.namespace-{:03}.svc.cluster.local", at % 100));
        let clusters = || {
            services()
                .flat_map(|host| (0..PORTS).map(move |port| format!("outbound|{}||{host}", 8080 + port)))
        };
        let none = || list(std::iter::empty());
        let mut lists = ResourceType::ALL.map(|_| none());
        lists[ResourceType::Cluster.index()] = list(clusters().map(|name| entry("cluster", &name, 1200)));
        lists[ResourceType::Endpoints.index()] = list(clusters().map(|name| entry("endpoints", &name, 500)));
        lists[ResourceType::Listener.index()] = list(
            (0..SERVICES).map(|at| entry("listener", &format!("10.0.{}.{}_8082", at / 250, at % 250), 3000)),
        );
        let hosts = services().map(|host| Hashed::new(&host, bytes(&host, 640))).collect();
        Self { lists, hosts }
    }

    /// The mesh with another form of one assignment.
    pub(crate) fn touch_endpoint(&self, round: u64) -> Self {
        let mut mesh = self.clone();
        let place = ResourceType::Endpoints.index();
        let mut entries = mesh.lists[place].to_vec();
        let name = entries[1500].0.clone();
        entries[1500].1 =
            Hashed::new(&format!("{name} {round}"), Resource::Bytes(bytes(&round.to_string(), 500)));
        mesh.lists[place] = entries.into();
        mesh
    }

    /// The mesh with another form of one virtual host.
    pub(crate) fn touch_host(&self, round: u64) -> Self {
        let mut mesh = self.clone();
        mesh.hosts[500] = Hashed::new(&format!("host {round}"), bytes(&round.to_string(), 640));
        mesh
    }

    /// The three route configurations of a class: all virtual hosts are shared but one.
    fn routes(&self, class: u32) -> List {
        list((0..PORTS).map(|port| {
            let mut hosts = self.hosts.clone();
            let own = format!("own {class} {port}");
            hosts[class as usize % SERVICES] = Hashed::new(&own, bytes(&own, 640));
            let identity: Vec<u8> = hosts.iter().flat_map(|host| host.content_hash().to_le_bytes()).collect();
            let key = Hashed(Arc::new((xxh3_128(&identity), Resource::Hosts(hosts.into()))));
            (Arc::from((8080 + port).to_string()), key)
        }))
    }

    /// The list of a class: every class has its own copy, in which one entry is its own.
    fn own(&self, kind: ResourceType, class: u32) -> List {
        let mut entries = self.lists[kind.index()].to_vec();
        if let Some((name, key)) = entries.get_mut(class as usize) {
            *key = Hashed::new(&format!("{kind} {name} {class}"), Resource::Bytes(bytes(name, 700)));
        }
        entries.into()
    }
}

impl Generate for Benchmark {
    type Mesh = Mesh;
    type Changes = Changes;
    type Proxy = u32;
    type Class = u32;
    type Plan = Plan;
    type Key = Key;
    type Part = Hashed<Bytes>;

    fn proxy(&self, _node: &NodeInfo, _peer: &Peer) -> Result<u32, Refusal> {
        Ok(0)
    }

    fn slots(&self, _mesh: &Mesh, _proxy: &u32) -> Slots {
        Slots::default()
    }

    fn classes(&self, _mesh: &Mesh, proxy: &u32) -> Vec<u32> {
        vec![*proxy]
    }

    fn reclassify(&self, _changes: &Changes, _proxy: &u32) -> bool {
        false
    }

    fn plan(
        &self,
        mesh: &Mesh,
        class: &u32,
        previous: Option<(&Arc<Plan>, &Changes)>,
        _hold: bool,
        _below: Option<&Arc<Plan>>,
    ) -> Arc<Plan> {
        Arc::new(Plan(ResourceType::ALL.map(|kind| match previous {
            Some((plan, changes)) if !changes.0.contains(&kind) => plan.0[kind.index()].clone(),
            _ if kind == ResourceType::Route => mesh.routes(*class),
            _ => mesh.own(kind, *class),
        })))
    }

    fn holding(&self, _plan: &Plan) -> bool {
        false
    }

    fn problems<'p>(&self, _plan: &'p Plan) -> &'p [Problem] {
        &[]
    }

    fn layer<'p>(&self, plan: &'p Plan, kind: ResourceType) -> LayerPlan<'p, Key> {
        LayerPlan { entries: &plan.0[kind.index()], hidden: &[] }
    }

    fn build(&self, key: &Key) -> Built<Hashed<Bytes>> {
        match &key.0.1 {
            Resource::Bytes(bytes) => Built::whole(bytes.clone()),
            Resource::Hosts(hosts) => {
                let head = std::iter::once(Fragment::Bytes(Bytes::from_static(b"\x0a\x0480..")));
                let hosts = hosts.iter().cloned().map(Fragment::Part);
                Built { fragments: head.chain(hosts).collect(), ..Built::whole(Bytes::new()) }
            }
        }
    }

    fn build_part(&self, part: &Hashed<Bytes>) -> BuiltPart {
        BuiltPart { bytes: part.0.1.clone(), ..BuiltPart::default() }
    }

    fn sources(&self, _key: &Key) -> Vec<ObjectRef> {
        Vec::new()
    }

    fn part_sources(&self, _part: &Hashed<Bytes>) -> Vec<ObjectRef> {
        Vec::new()
    }

    fn part_name(&self, _part: &Hashed<Bytes>) -> Arc<str> {
        Arc::from("")
    }

    fn absent(&self, _proxy: &u32, _kind: ResourceType, _name: &str) -> Option<Bytes> {
        None
    }

    fn default_substitute(&self, _key: &Key) -> Option<Bytes> {
        None
    }

    fn part_substitute(&self, _part: &Hashed<Bytes>) -> Option<Bytes> {
        None
    }
}
