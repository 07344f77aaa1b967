//! The client: resources as Envoy holds them, and the rules by which they come into use.

use std::collections::{BTreeMap, BTreeSet};

use ::envoy::config::core::v3::Node;
use ::envoy::google::protobuf::Any;
use ::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use bytes::Bytes;

use super::references::References;
use super::resource::{Form, Warmed};
use super::subscription::{Answer, Subscription};

/// The two forms of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// `DeltaAggregatedResources`.
    Delta,
    /// `StreamAggregatedResources`.
    Sotw,
}

/// The types that the model knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
}

impl Kind {
    /// All of them, in the order in which a stream asks for them.
    pub const ALL: [Self; 4] = [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route];

    /// The type URL.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// Whether everything of the type is asked for.
    pub const fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }
}

/// A request for the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// On a delta stream.
    Delta(DeltaDiscoveryRequest),
    /// On a stream of the state of the world.
    Sotw(DiscoveryRequest),
}

/// A response from the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// On a delta stream.
    Delta(DeltaDiscoveryResponse),
    /// On a stream of the state of the world.
    Sotw(DiscoveryResponse),
}

/// An Envoy with one ADS stream.
#[derive(Clone, Debug)]
pub struct Envoy {
    variant: Variant,
    node: Node,
    connected: bool,
    /// Whether the stream's first request, with the node, is out.
    introduced: bool,
    /// Whether clusters have come once.
    has_clusters: bool,
    /// Whether the first clusters are all active; until then no listeners are asked for.
    started: bool,
    subscriptions: BTreeMap<Kind, Subscription>,
    clusters: BTreeMap<String, Warmed>,
    listeners: BTreeMap<String, Warmed>,
    assignments: BTreeMap<String, Bytes>,
    routes: BTreeMap<String, Form>,
    /// Resources that this Envoy refuses.
    refused: BTreeSet<(Kind, String)>,
}

/// A response in the form that both variants share.
struct Incoming {
    kind: Kind,
    nonce: String,
    version: String,
    /// Name, version, body.
    resources: Vec<(String, String, Bytes)>,
    removed: Vec<String>,
}

impl Envoy {
    /// An Envoy that just started, without a stream.
    pub fn new(variant: Variant, node: Node) -> Self {
        Self {
            variant,
            node,
            connected: false,
            introduced: false,
            has_clusters: false,
            started: false,
            subscriptions: Kind::ALL.map(|kind| (kind, Subscription::default())).into(),
            clusters: BTreeMap::new(),
            listeners: BTreeMap::new(),
            assignments: BTreeMap::new(),
            routes: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Opens a stream.
    pub fn connect(&mut self) {
        (self.connected, self.introduced) = (true, false);
    }

    /// Loses the stream. All that is held stays.
    pub fn disconnect(&mut self) {
        self.connected = false;
        self.subscriptions.values_mut().for_each(Subscription::reset);
    }

    /// Whether there is a stream.
    pub const fn is_connected(&self) -> bool {
        self.connected
    }

    /// From now on refuses this resource, or accepts it again.
    pub fn refuse(&mut self, kind: Kind, name: &str, refuse: bool) {
        let resource = (kind, name.to_owned());
        if refuse {
            self.refused.insert(resource);
        } else {
            self.refused.remove(&resource);
        }
    }

    /// The next request to send, if there is one.
    pub fn next_request(&mut self) -> Option<Request> {
        if !self.connected {
            return None;
        }
        // While a cluster warms, nothing is said about clusters, neither yes nor no.
        let warming = self.clusters.values().any(|cluster| cluster.warming.is_some());
        let request = Kind::ALL.into_iter().find_map(|kind| {
            let mute = kind == Kind::Cluster && warming && self.subscriptions[&kind].begun
                || kind == Kind::Listener && !self.started;
            self.subscriptions.get_mut(&kind)?.request(kind, self.variant, mute)
        });
        let mut request = request?;
        if !self.introduced {
            self.introduced = true;
            let node = Some(self.node.clone());
            match &mut request {
                Request::Delta(request) => request.node = node,
                Request::Sotw(request) => request.node = node,
            }
        }
        Some(request)
    }

    /// Takes a response.
    ///
    /// # Panics
    /// It breaks a rule that Envoy would answer by refusing it whole, or is of an unknown type.
    pub fn respond(&mut self, response: Response) {
        let incoming = Incoming::of(response);
        let kind = incoming.kind;
        self.has_clusters |= kind == Kind::Cluster;
        let error = match kind {
            Kind::Cluster => self.take_clusters(&incoming),
            Kind::Listener => self.take_listeners(&incoming),
            Kind::Endpoints => self.take_assignments(&incoming),
            Kind::Route => self.take_routes(&incoming),
        };
        self.settle();
        let subscription = self.subscriptions.get_mut(&kind).expect("every kind has one");
        if error.is_none() {
            for (name, version, _) in &incoming.resources {
                if kind.is_wildcard() || subscription.names.contains(name) {
                    subscription.versions.insert(name.clone(), version.clone());
                }
            }
            subscription.accept(incoming.version);
        }
        for name in &incoming.removed {
            subscription.versions.remove(name);
        }
        subscription.answers.push_back(Answer { nonce: incoming.nonce, error });
    }

    fn take_clusters(&mut self, incoming: &Incoming) -> Option<String> {
        let mut errors = Vec::new();
        for (name, _, body) in &incoming.resources {
            if self.refused.contains(&(Kind::Cluster, name.clone())) {
                errors.push(format!("{name}: refused by the test"));
                continue;
            }
            let names = References::of_cluster(body).expect("a cluster");
            let renewed = names.assignment.clone();
            let changed =
                self.clusters.entry(name.clone()).or_default().take(Form { body: body.clone(), names });
            let endpoints = self.subscriptions.get_mut(&Kind::Endpoints).expect("every kind has one");
            if changed && renewed.is_some_and(|name| endpoints.names.contains(&name)) {
                // In the state of the world Envoy repeats its request; in delta it says nothing.
                endpoints.renew = true;
            }
        }
        for name in self.gone(incoming, &self.clusters) {
            self.clusters.remove(&name);
        }
        (!errors.is_empty()).then(|| format!("Error adding/updating cluster(s) {}", errors.join(", ")))
    }

    fn take_listeners(&mut self, incoming: &Incoming) -> Option<String> {
        let mut errors = String::new();
        for (name, _, body) in &incoming.resources {
            if self.refused.contains(&(Kind::Listener, name.clone())) {
                errors.push_str(&format!("{name}: refused by the test\n"));
                continue;
            }
            let names = References::of_listener(body).expect("a listener");
            self.listeners.entry(name.clone()).or_default().take(Form { body: body.clone(), names });
        }
        for name in self.gone(incoming, &self.listeners) {
            self.listeners.remove(&name);
        }
        (!errors.is_empty()).then(|| format!("Error adding/updating listener(s) {errors}"))
    }

    fn take_assignments(&mut self, incoming: &Incoming) -> Option<String> {
        if let Some(error) = self.first_refused(incoming) {
            return Some(error);
        }
        for (name, _, body) in &incoming.resources {
            if !self.subscriptions[&Kind::Endpoints].names.contains(name) {
                continue;
            }
            self.assignments.insert(name.clone(), body.clone());
            for cluster in self.clusters.values_mut() {
                let waits = cluster.warming.as_ref().and_then(|form| form.names.assignment.as_ref());
                if waits == Some(name) {
                    cluster.activate();
                }
            }
        }
        None
    }

    fn take_routes(&mut self, incoming: &Incoming) -> Option<String> {
        if let Some(error) = self.first_refused(incoming) {
            return Some(error);
        }
        for (name, _, body) in &incoming.resources {
            if self.subscriptions[&Kind::Route].names.contains(name) {
                let names = References::of_routes(body).expect("a route configuration");
                self.routes.insert(name.clone(), Form { body: body.clone(), names });
            }
        }
        None
    }

    /// Assignments and routes are refused without a name, and here as a whole.
    fn first_refused(&self, incoming: &Incoming) -> Option<String> {
        let mut names = incoming.resources.iter().map(|(name, _, _)| name);
        names
            .any(|name| self.refused.contains(&(incoming.kind, name.clone())))
            .then(|| "malformed".to_owned())
    }

    /// The names that a response takes away; in assignments and routes that means nothing to Envoy.
    fn gone(&self, incoming: &Incoming, held: &BTreeMap<String, Warmed>) -> Vec<String> {
        match self.variant {
            Variant::Delta => incoming.removed.clone(),
            Variant::Sotw => {
                let kept: BTreeSet<_> = incoming.resources.iter().map(|(name, _, _)| name).collect();
                held.keys().filter(|name| !kept.contains(name)).cloned().collect()
            }
        }
    }

    /// Activates what has all that it needs, and asks for what is needed.
    fn settle(&mut self) {
        for cluster in self.clusters.values_mut() {
            if cluster.warming.as_ref().is_some_and(|form| form.names.assignment.is_none()) {
                cluster.activate();
            }
        }
        for listener in self.listeners.values_mut() {
            let ready = |form: &Form| form.names.routes.iter().all(|name| self.routes.contains_key(name));
            if listener.warming.as_ref().is_some_and(ready) {
                listener.activate();
            }
        }
        let assignments = self.clusters.values().flat_map(Warmed::forms);
        let assignments: BTreeSet<_> = assignments.filter_map(|form| form.names.assignment.clone()).collect();
        let routes = self.listeners.values().flat_map(Warmed::forms);
        let routes: BTreeSet<_> = routes.flat_map(|form| form.names.routes.clone()).collect();
        self.assignments.retain(|name, _| assignments.contains(name));
        self.routes.retain(|name, _| routes.contains(name));
        self.want(Kind::Endpoints, assignments);
        self.want(Kind::Route, routes);
        let warm = self.clusters.values().all(|cluster| cluster.warming.is_none());
        self.started |= self.has_clusters && warm;
    }

    fn want(&mut self, kind: Kind, names: BTreeSet<String>) {
        self.subscriptions.get_mut(&kind).expect("every kind has one").want(names);
    }

    /// What serves: for each type the bodies by name.
    pub fn active(&self) -> BTreeMap<Kind, BTreeMap<String, Bytes>> {
        let warmed = |held: &BTreeMap<String, Warmed>| {
            let active =
                |(name, held): (&String, &Warmed)| Some((name.clone(), held.active.as_ref()?.body.clone()));
            held.iter().filter_map(active).collect()
        };
        [
            (Kind::Cluster, warmed(&self.clusters)),
            (Kind::Endpoints, self.assignments.clone()),
            (Kind::Listener, warmed(&self.listeners)),
            (Kind::Route, self.routes.iter().map(|(name, form)| (name.clone(), form.body.clone())).collect()),
        ]
        .into()
    }

    /// What waits for something that has not come, in words.
    pub fn warming(&self) -> Vec<String> {
        let warming = |what: &str, held: &BTreeMap<String, Warmed>| -> Vec<String> {
            let warming = held.iter().filter(|(_, held)| held.warming.is_some());
            warming.map(|(name, _)| format!("{what} {name}")).collect()
        };
        let mut all = warming("cluster", &self.clusters);
        all.extend(warming("listener", &self.listeners));
        all
    }

    /// Clusters that what serves sends requests to, and that do not serve: each is an outage.
    pub fn broken(&self) -> BTreeSet<String> {
        let listeners = self.listeners.values().filter_map(|listener| listener.active.as_ref());
        let mut named = BTreeSet::new();
        for listener in listeners {
            named.extend(listener.names.clusters.iter().cloned());
            let routes = listener.names.routes.iter().filter_map(|name| self.routes.get(name));
            named.extend(routes.flat_map(|route| route.names.clusters.iter().cloned()));
        }
        named.retain(|name| self.clusters.get(name).is_none_or(|cluster| cluster.active.is_none()));
        named
    }
}

impl Incoming {
    fn of(response: Response) -> Self {
        match response {
            Response::Delta(response) => {
                let mut seen = BTreeSet::new();
                let resources = response.resources.into_iter().map(|resource| {
                    assert!(
                        seen.insert(resource.name.clone()),
                        "duplicate name {} in a response",
                        resource.name
                    );
                    (resource.name, resource.version, resource.resource.expect("a body").value)
                });
                Self {
                    resources: resources.collect(),
                    kind: Kind::of(&response.type_url).expect("a type of the model"),
                    nonce: response.nonce,
                    version: String::new(),
                    removed: response.removed_resources,
                }
            }
            Response::Sotw(response) => {
                let kind = Kind::of(&response.type_url).expect("a type of the model");
                let resource = |any: Any| (name(kind, &any.value), String::new(), any.value);
                Self {
                    resources: response.resources.into_iter().map(resource).collect(),
                    kind,
                    nonce: response.nonce,
                    version: response.version_info,
                    removed: Vec::new(),
                }
            }
        }
    }
}

/// The name in a resource: all four types have it in field 1.
fn name(kind: Kind, body: &[u8]) -> String {
    use ::envoy::Message as _;
    let decoded = match kind {
        Kind::Cluster => ::envoy::config::cluster::v3::Cluster::decode(body).map(|cluster| cluster.name),
        Kind::Listener => ::envoy::config::listener::v3::Listener::decode(body).map(|listener| listener.name),
        Kind::Route => ::envoy::config::route::v3::RouteConfiguration::decode(body).map(|route| route.name),
        Kind::Endpoints => {
            let decoded = ::envoy::config::endpoint::v3::ClusterLoadAssignment::decode(body);
            decoded.map(|assignment| assignment.cluster_name)
        }
    };
    decoded.expect("a resource of its type")
}
