//! Any order of changes, requests, answers, refusals and lost streams ends with the client serving what it should.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use api::envoy::Message as _;
use api::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use testkit::ads::{self, Envoy, Kind, Request, Response};
use xds::encoded::Encoded;
use xds::frame::Writer;
use xds::kind::ResourceType;
use xds::protocol::{
    Context, DeltaRequest, Limits, NameLists, Rejection, SotwRequest, Stream, Variant, assignments,
};

use crate::toy::{self, World};

const IDS: u8 = 5;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Change(Change),
    /// The client writes a request.
    Ask,
    /// The server reads one.
    Hear,
    /// The server writes a response.
    Answer,
    /// The client reads one.
    Learn,
    /// The stream is lost, and all that is under way.
    Lose,
    /// The client refuses a resource from now on, or takes it again.
    Refuse(Kind, u8, bool),
}

#[derive(Clone, Debug)]
enum Change {
    Cluster(u8, Option<u8>),
    Endpoints(u8, u8),
    Route(u8, Option<(u8, BTreeSet<u8>)>),
    Listener(u8, Option<(u8, BTreeSet<u8>)>),
}

impl Change {
    fn apply(self, world: &mut World) {
        fn put<T>(map: &mut BTreeMap<u8, T>, id: u8, value: Option<T>) {
            match value {
                Some(value) => drop(map.insert(id, value)),
                None => drop(map.remove(&id)),
            }
        }
        match self {
            Self::Cluster(id, content) => put(&mut world.clusters, id, content),
            Self::Endpoints(id, content) => put(&mut world.endpoints, id, Some(content)),
            Self::Route(id, route) => put(&mut world.routes, id, route),
            Self::Listener(id, listener) => put(&mut world.listeners, id, listener),
        }
    }
}

/// The server's half and the client's half with two queues between them.
struct Link {
    world: World,
    variant: Variant,
    envoy: Envoy,
    stream: Stream,
    requests: VecDeque<Request>,
    responses: VecDeque<Vec<u8>>,
    now: Duration,
    streams: u32,
    lists: NameLists,
    surroundings: Surroundings,
}

#[derive(Default)]
struct Surroundings {
    /// Assignments whose clusters changed.
    changed: BTreeSet<Arc<str>>,
    /// What the last stream left open.
    doubtful: BTreeMap<ResourceType, Vec<Arc<str>>>,
}

impl Context for Surroundings {
    fn absent(&self, kind: ResourceType, name: &str) -> Option<Arc<Encoded>> {
        Some(Arc::new(Encoded::whole(kind, name, toy::absent(kind, name)?)))
    }

    fn doubtful(&self, kind: ResourceType) -> Vec<Arc<str>> {
        self.doubtful.get(&kind).cloned().unwrap_or_default()
    }

    fn changed_lately(&self, assignment: &str) -> bool {
        self.changed.contains(assignment)
    }
}

impl Link {
    fn new(variant: Variant, world: World) -> Self {
        let lists = NameLists::default();
        let model = match variant {
            Variant::Delta => ads::Variant::Delta,
            Variant::Sotw => ads::Variant::Sotw,
        };
        let mut envoy = Envoy::new(model, toy::node());
        envoy.connect();
        Self {
            stream: Stream::new(variant, "0", world.sets(), &lists, Limits::default()),
            world,
            variant,
            envoy,
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            now: Duration::ZERO,
            streams: 0,
            lists,
            surroundings: Surroundings::default(),
        }
    }

    /// Does one step; says whether anything happened.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Change(change) => self.change(change),
            Step::Ask => self.envoy.next_request().map(|request| self.requests.push_back(request)).is_some(),
            Step::Hear => self.requests.pop_front().map(|request| self.hear(request)).is_some(),
            Step::Answer => self.answer(),
            Step::Learn => self.responses.pop_front().map(|frame| self.learn(&frame)).is_some(),
            Step::Lose => {
                self.lose();
                true
            }
            Step::Refuse(kind, id, refuse) => {
                let names: Vec<_> = self.world.resources(server_kind(kind)).into_keys().collect();
                if let Some(name) = names.get(usize::from(id) % names.len().max(1)) {
                    self.envoy.refuse(kind, name, refuse);
                }
                true
            }
        }
    }

    fn change(&mut self, change: Change) -> bool {
        let mut world = self.world.clone();
        change.apply(&mut world);
        self.world = world.consistent();
        let sets = self.world.sets();
        let clusters = sets.get(ResourceType::Cluster);
        let diff = clusters.diff(self.stream.sets().get(ResourceType::Cluster));
        self.surroundings.changed.extend(assignments(&diff.changed, clusters.slots()));
        self.stream.update(sets, self.now);
        true
    }

    fn hear(&mut self, request: Request) {
        let rejection = |status: api::envoy::google::rpc::Status| Rejection {
            code: status.code,
            message: status.message,
        };
        match request {
            Request::Delta(request) => {
                let kind = ResourceType::from_type_url(&request.type_url).expect("a type of the model");
                let request = DeltaRequest {
                    subscribe: request.resource_names_subscribe,
                    unsubscribe: request.resource_names_unsubscribe,
                    held: request.initial_resource_versions,
                    nonce: request.response_nonce,
                    error: request.error_detail.map(rejection),
                };
                self.stream.delta(kind, request, self.now, &self.surroundings);
            }
            Request::Sotw(request) => {
                let kind = ResourceType::from_type_url(&request.type_url).expect("a type of the model");
                let request = SotwRequest {
                    version: request.version_info,
                    names: request.resource_names,
                    nonce: request.response_nonce,
                    error: request.error_detail.map(rejection),
                };
                self.stream.sotw(kind, request, self.now);
            }
        }
    }

    fn answer(&mut self) -> bool {
        let Some(response) = self.stream.next(self.now, &self.surroundings) else { return false };
        let mut writer = Writer::new(response, "test").expect("short");
        let mut frame = Vec::new();
        while let Some(chunk) = writer.next_chunk() {
            frame.extend_from_slice(&chunk);
        }
        assert_eq!(frame.len(), writer.len());
        self.responses.push_back(frame);
        true
    }

    fn learn(&mut self, frame: &[u8]) {
        assert_eq!(frame[..5], [&[0][..], &(frame.len() as u32 - 5).to_be_bytes()].concat());
        self.envoy.respond(match self.variant {
            Variant::Delta => {
                Response::Delta(DeltaDiscoveryResponse::decode(&frame[5..]).expect("a response"))
            }
            Variant::Sotw => Response::Sotw(DiscoveryResponse::decode(&frame[5..]).expect("a response")),
        });
    }

    fn lose(&mut self) {
        self.requests.clear();
        self.responses.clear();
        self.streams += 1;
        if self.stream.is_settled() {
            self.surroundings.changed.clear();
        }
        for kind in ResourceType::ALL {
            let before = self.surroundings.doubtful.entry(kind).or_default();
            *before = self.stream.doubtful(kind, before);
        }
        let prefix = self.streams.to_string();
        self.stream = Stream::new(self.variant, prefix, self.world.sets(), &self.lists, Limits::default());
        self.envoy.disconnect();
        self.envoy.connect();
    }

    /// Lets everything happen that can, in order, until nothing is left but time; then lets time pass.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let moved = [Step::Ask, Step::Hear, Step::Answer, Step::Learn].map(|step| self.step(step));
            if !moved.contains(&true) {
                match self.stream.deadline() {
                    Some(deadline) => self.now = deadline,
                    None => return,
                }
            }
        }
        panic!("no end: {:?}", self.stream.status());
    }

    fn check_settled(&self) {
        assert_eq!(self.envoy.warming(), Vec::<String>::new(), "something warms for ever");
        assert_eq!(self.envoy.active(), self.world.served());
    }
}

fn server_kind(kind: Kind) -> ResourceType {
    ResourceType::from_type_url(kind.type_url()).expect("a type of the model")
}

fn ids() -> impl Strategy<Value = BTreeSet<u8>> {
    prop::collection::btree_set(0..IDS, 0..4)
}

fn change() -> impl Strategy<Value = Change> {
    let part = || prop::option::weighted(0.7, (0..3_u8, ids()));
    prop_oneof![
        3 => (0..IDS, prop::option::weighted(0.7, 0..4_u8)).prop_map(|(id, content)| Change::Cluster(id, content)),
        1 => (0..IDS, 0..4_u8).prop_map(|(id, content)| Change::Endpoints(id, content)),
        3 => (0..IDS, part()).prop_map(|(id, route)| Change::Route(id, route)),
        2 => (0..IDS, part()).prop_map(|(id, listener)| Change::Listener(id, listener)),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let part = || prop::collection::btree_map(0..IDS, (0..3_u8, ids()), 0..4);
    (prop::collection::btree_map(0..IDS, 0..4_u8, 0..5), part(), part()).prop_map(
        |(clusters, routes, listeners)| {
            World { clusters, routes, listeners, ..World::default() }.consistent()
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => change().prop_map(Step::Change),
        4 => Just(Step::Ask),
        4 => Just(Step::Hear),
        4 => Just(Step::Answer),
        4 => Just(Step::Learn),
    ]
}

fn steps(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step, 0..120)
}

fn variant() -> impl Strategy<Value = Variant> {
    prop_oneof![Just(Variant::Delta), Just(Variant::Sotw)]
}

proptest! {
    // The same cases in every run; the variables PROPTEST_CASES and PROPTEST_RNG_SEED ask for more and for others.
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// On one stream no request ever goes to a cluster that does not serve.
    #[test]
    fn nothing_breaks_before_its_successor_is_made(
        variant in variant(), world in world(), steps in steps(step()),
    ) {
        let mut link = Link::new(variant, world);
        link.settle();
        link.check_settled();
        for step in steps {
            link.step(step);
            prop_assert_eq!(link.envoy.broken(), BTreeSet::new());
        }
        for _ in 0..1_000 {
            for step in [Step::Ask, Step::Hear, Step::Answer, Step::Learn] {
                link.step(step);
                prop_assert_eq!(link.envoy.broken(), BTreeSet::new());
            }
        }
        link.settle();
        link.check_settled();
    }

    /// The same over lost streams, where only delta can know what the client holds.
    #[test]
    fn nothing_breaks_over_lost_streams_either(
        world in world(), steps in steps(prop_oneof![20 => step(), 1 => Just(Step::Lose)]),
    ) {
        let mut link = Link::new(Variant::Delta, world);
        link.settle();
        for step in steps {
            link.step(step);
            prop_assert_eq!(link.envoy.broken(), BTreeSet::new());
        }
        link.settle();
        link.check_settled();
    }

    /// Both variants end in the same state, which is that of the world.
    #[test]
    fn delta_and_the_state_of_the_world_end_alike(
        world in world(), steps in steps(prop_oneof![20 => step(), 1 => Just(Step::Lose)]),
    ) {
        let mut links = [Variant::Delta, Variant::Sotw].map(|variant| Link::new(variant, world.clone()));
        for link in &mut links {
            for step in steps.clone() {
                link.step(step);
            }
            link.settle();
            link.check_settled();
        }
        let [delta, sotw] = links;
        prop_assert_eq!(delta.envoy.active(), sotw.envoy.active());
    }

    /// What is refused harms nothing for good: when it is taken again and changes, all is as it should be.
    #[test]
    fn a_refusal_ends_with_the_next_change(
        variant in variant(),
        world in world(),
        steps in steps(prop_oneof![
            20 => step(),
            1 => Just(Step::Lose),
            2 => (prop_oneof![Just(Kind::Cluster), Just(Kind::Listener)], 0..IDS, any::<bool>())
                .prop_map(|(kind, id, refuse)| Step::Refuse(kind, id, refuse)),
        ]),
    ) {
        let mut link = Link::new(variant, world);
        for step in steps {
            link.step(step);
        }
        link.settle();
        for kind in [Kind::Cluster, Kind::Listener] {
            for id in 0..=255 {
                let name = match kind {
                    Kind::Cluster => format!("outbound|80||c{id}"),
                    _ => format!("listener-{id}"),
                };
                link.envoy.refuse(kind, &name, false);
            }
        }
        // Contents that no step gives, so everything changes.
        for (id, content) in link.world.clusters.clone() {
            link.change(Change::Cluster(id, Some(content + 4)));
        }
        for (id, (content, routes)) in link.world.listeners.clone() {
            link.change(Change::Listener(id, Some((content + 4, routes))));
        }
        link.settle();
        link.check_settled();
    }

    /// Nothing is sent to a client that comes back with all that it should have.
    #[test]
    fn a_client_that_is_up_to_date_is_sent_no_resources(
        world in world(), changes in prop::collection::vec(change(), 0..10),
    ) {
        let mut link = Link::new(Variant::Delta, world);
        link.settle();
        for change in changes {
            link.change(change);
            link.settle();
        }
        link.lose();
        let mut sent = 0;
        for _ in 0..100 {
            for step in [Step::Ask, Step::Hear, Step::Answer] {
                link.step(step);
            }
            if let Some(frame) = link.responses.front() {
                let response = DeltaDiscoveryResponse::decode(&frame[5..]).expect("a response");
                sent += response.resources.len() + response.removed_resources.len();
            }
            link.step(Step::Learn);
        }
        prop_assert_eq!(sent, 0);
        link.settle();
        link.check_settled();
    }
}

/// A client that refuses one of two clusters takes the other, but says of neither that it holds it. If its stream is lost
/// then and the cluster goes before the first answer of the next one, it must be told so all the same.
#[test]
fn what_a_lost_stream_left_is_removed_even_if_it_goes_before_the_first_answer() {
    let (clusters, none) = (BTreeMap::from([(0, 0), (2, 0)]), BTreeMap::new());
    let world = World { clusters, routes: none.clone(), listeners: none, ..World::default() }.consistent();
    for held_by_another in [false, true] {
        let mut link = Link::new(Variant::Delta, world.clone());
        if held_by_another {
            link.change(Change::Cluster(2, None));
            link.change(Change::Cluster(0, None));
            link.change(Change::Cluster(1, Some(0)));
            link.settle();
            link.change(Change::Cluster(0, Some(0)));
            link.change(Change::Cluster(2, Some(0)));
        }
        let refused = Step::Refuse(Kind::Cluster, 0, true);
        let taken_in_part = [Step::Ask, refused, Step::Hear, Step::Answer, Step::Learn];
        let back = [Step::Lose, Step::Ask, Step::Hear, Step::Change(Change::Cluster(2, None))];
        for step in taken_in_part.into_iter().chain(back) {
            link.step(step);
        }
        link.envoy.refuse(Kind::Cluster, "outbound|80||c0", false);
        link.change(Change::Cluster(0, Some(4)));
        link.settle();
        link.check_settled();
    }
}

/// The removal of what a client took from a response that it refused for other parts may be lost with the stream.
#[test]
fn a_removal_that_is_lost_with_its_stream_is_sent_again() {
    let (clusters, none) = (BTreeMap::from([(0, 3), (1, 0)]), BTreeMap::new());
    let world = World { clusters, routes: none.clone(), listeners: none, ..World::default() }.consistent();
    let mut link = Link::new(Variant::Delta, world);
    let first = [Step::Ask, Step::Hear, Step::Answer, Step::Change(Change::Cluster(0, None))];
    let refused = [Step::Refuse(Kind::Cluster, 0, true), Step::Learn];
    let removed = [Step::Ask, Step::Hear, Step::Answer, Step::Lose];
    for step in first.into_iter().chain(refused).chain(removed) {
        link.step(step);
    }
    link.envoy.refuse(Kind::Cluster, "outbound|80||c1", false);
    link.change(Change::Cluster(1, Some(4)));
    link.settle();
    link.check_settled();
}

/// What a client took from one refused response and then refused in another form it still has, and does not say so.
#[test]
fn what_was_refused_later_is_removed_after_a_lost_stream() {
    let (clusters, none) = (BTreeMap::from([(0, 0), (4, 0)]), BTreeMap::new());
    let world = World { clusters, routes: none.clone(), listeners: none, ..World::default() }.consistent();
    let mut link = Link::new(Variant::Delta, world);
    let round = || [Step::Ask, Step::Hear, Step::Answer, Step::Learn];
    let (first, second) = (Step::Refuse(Kind::Cluster, 0, true), Step::Refuse(Kind::Cluster, 1, true));
    let steps = [first].into_iter().chain(round()).chain([second]).chain(round()).chain(round());
    let end = [Step::Ask, Step::Hear, Step::Change(Change::Cluster(4, None)), Step::Lose];
    for step in steps.chain(end) {
        link.step(step);
    }
    for name in ["outbound|80||c0", "outbound|80||c4"] {
        link.envoy.refuse(Kind::Cluster, name, false);
    }
    link.change(Change::Cluster(0, Some(4)));
    link.settle();
    link.check_settled();
}

/// What a lost stream left in doubt stays so when the next one is lost before it was heard.
#[test]
fn what_a_lost_stream_left_is_removed_after_another_lost_one_too() {
    let (clusters, none) = (BTreeMap::from([(0, 0), (2, 0)]), BTreeMap::new());
    let world = World { clusters, routes: none.clone(), listeners: none, ..World::default() }.consistent();
    let mut link = Link::new(Variant::Delta, world);
    let refused = Step::Refuse(Kind::Cluster, 0, true);
    let taken_in_part = [Step::Ask, refused, Step::Hear, Step::Answer, Step::Learn];
    for step in
        taken_in_part.into_iter().chain([Step::Lose, Step::Change(Change::Cluster(2, None)), Step::Lose])
    {
        link.step(step);
    }
    link.envoy.refuse(Kind::Cluster, "outbound|80||c0", false);
    link.settle();
    link.check_settled();
}

/// In the state of the world a client names the version that it accepted last, also when it took a part of a later one
/// that it refused. If that is the version that it is to have again, it must be told all the same.
#[test]
fn a_version_that_comes_back_takes_away_what_was_refused_in_between() {
    let none = BTreeMap::new();
    let (clusters, endpoints) = (BTreeMap::new(), BTreeMap::new());
    let mut link = Link::new(
        Variant::Sotw,
        World { clusters, endpoints, routes: none.clone(), listeners: none, ..World::default() },
    );
    link.settle();
    for id in [2, 4] {
        link.change(Change::Cluster(id, Some(0)));
    }
    for step in [Step::Refuse(Kind::Cluster, 1, true), Step::Answer, Step::Learn] {
        link.step(step);
    }
    for id in [2, 4] {
        link.change(Change::Cluster(id, None));
    }
    link.step(Step::Lose);
    link.settle();
    link.check_settled();
}

/// A listener that takes the place of another one with the same routes asks for them anew. In the state of the world that
/// is a request that names nothing new.
#[test]
fn a_name_that_goes_and_comes_back_unheard_is_answered() {
    let (clusters, endpoints) = (BTreeMap::new(), BTreeMap::new());
    let (routes, listeners) =
        (BTreeMap::from([(4, (0, BTreeSet::new()))]), BTreeMap::from([(1, (0, [4].into()))]));
    let mut link =
        Link::new(Variant::Sotw, World { clusters, endpoints, routes, listeners, ..World::default() });
    link.settle();
    for step in [
        Step::Change(Change::Listener(1, None)),
        Step::Answer,
        Step::Change(Change::Listener(0, Some((0, [4].into())))),
        Step::Answer,
        Step::Learn,
        Step::Learn,
    ] {
        link.step(step);
    }
    link.settle();
    link.check_settled();
}

/// A listener that came on a lost stream serves as soon as its routes come on the next one: not before their clusters.
#[test]
fn routes_wait_for_clusters_also_at_a_client_that_comes_back() {
    for clusters in [BTreeMap::new(), BTreeMap::from([(0, 0)])] {
        let (endpoints, listeners) = (BTreeMap::new(), BTreeMap::new());
        let routes = BTreeMap::from([(0, (0, BTreeSet::new()))]);
        let mut link =
            Link::new(Variant::Delta, World { clusters, endpoints, routes, listeners, ..World::default() });
        link.settle();
        link.change(Change::Listener(0, Some((0, [0].into()))));
        for step in [Step::Answer, Step::Learn, Step::Change(Change::Cluster(1, Some(0))), Step::Lose] {
            link.step(step);
        }
        link.change(Change::Route(0, Some((0, [1].into()))));
        let steps = [Step::Ask, Step::Hear, Step::Answer, Step::Learn];
        for step in steps.into_iter().flat_map(|step| vec![step; 5]) {
            link.step(step);
            assert_eq!(link.envoy.broken(), BTreeSet::new());
        }
        link.settle();
        link.check_settled();
    }
}
