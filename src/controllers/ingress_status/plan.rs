//! Which Ingresses are the mesh's own, what their status is to say, and whose turn it is. Pure: time is a value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use api::decode::AnyObject;
use api::kubernetes::{IngressClass, LoadBalancerIngress, Service};
use api::mesh_config::MeshConfig;
use api::{Kind, ObjectKey};
use model::ingress::{CLASS, gateway, is_served};
use model::{Labels, Ref};
use sources::feed::Feed;

use super::addresses;
use crate::discovered::{Discovered, Namespace};
use crate::queue::{Queue, Urgency};
use crate::write::WriteError;

/// What is read of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Of an Ingress.
    Ingress {
        /// Its annotation for a class.
        annotation: Option<String>,
        /// The name of its IngressClass; may be empty.
        class: String,
        /// The addresses that its status has.
        seen: Vec<LoadBalancerIngress>,
    },
    /// An IngressClass.
    Class(IngressClass),
    /// A Service of the gateways' namespace.
    Service(Box<Service>),
    /// A pod of the gateways' namespace.
    Pod {
        /// Its labels.
        labels: Labels,
        /// Whether it runs.
        runs: bool,
        /// Its node.
        node: String,
    },
    /// The external addresses of a node.
    Node(Vec<String>),
}

/// What this controller reads; `namespace` is that of the gateways that serve Ingresses.
pub fn feed(namespace: &str) -> Feed<Part> {
    let kinds = [Kind::Ingress, Kind::IngressClass, Kind::Service, Kind::Pod, Kind::Node];
    let namespace = namespace.to_owned();
    Feed::new(&kinds, move |object| {
        let near = *object.meta().namespace == *namespace;
        match object {
            AnyObject::Ingress(object) => Some(Part::Ingress {
                annotation: object.meta.annotations.get(CLASS).cloned(),
                class: object.spec.ingress_class_name.clone(),
                seen: object.spec.status.load_balancer.ingress.clone(),
            }),
            AnyObject::IngressClass(object) => Some(Part::Class(object.spec.clone())),
            AnyObject::Service(object) if near => Some(Part::Service(Box::new(object.spec.clone()))),
            AnyObject::Pod(object) if near => Some(Part::Pod {
                labels: object.meta.labels.clone(),
                runs: object.spec.status.phase == "Running",
                node: object.spec.node_name.clone(),
            }),
            AnyObject::Node(object) => {
                let addresses = object.spec.status.addresses.iter().filter(|a| a.r#type == "ExternalIP");
                Some(Part::Node(addresses.map(|a| a.address.clone()).collect()))
            }
            _ => None,
        }
    })
}

fn key_of(kind: Kind, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: Arc::from(namespace), name: Arc::from(name) }
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Plan {
    namespace: Arc<str>,
    settings: Option<Ref<MeshConfig>>,
    discovered: Discovered,
    objects: BTreeMap<ObjectKey, Part>,
    /// The addresses, as all that is known makes them; none while the settings are not known.
    wanted: Option<Vec<LoadBalancerIngress>>,
    queue: Queue<ObjectKey>,
}

impl Plan {
    /// Of gateways of a namespace.
    pub(super) fn new(namespace: Arc<str>) -> Self {
        Self {
            namespace,
            settings: None,
            discovered: Discovered::default(),
            objects: BTreeMap::new(),
            wanted: None,
            queue: Queue::new(),
        }
    }

    /// The mesh configuration is another.
    pub(super) fn settle(&mut self, settings: Option<Ref<MeshConfig>>) {
        self.discovered.select(settings.as_ref().map(|mesh| mesh.discovery_selectors.clone()));
        self.settings = settings;
        self.look_at_all();
    }

    /// Namespaces that came, changed or went.
    pub(super) fn namespaces(&mut self, news: &[(ObjectKey, Option<Namespace>)]) {
        self.discovered.take(news);
        self.look_at_all();
    }

    /// Objects that came, changed or went.
    pub(super) fn objects(&mut self, news: Vec<(ObjectKey, Option<Part>)>) {
        let others = news.iter().any(|(key, _)| key.kind != Kind::Ingress);
        let classes = news.iter().any(|(key, _)| key.kind == Kind::IngressClass);
        for (key, part) in news {
            if key.kind == Kind::Ingress {
                self.queue.add(&key, Urgency::Now);
            }
            match part {
                Some(part) => self.objects.insert(key, part),
                None => self.objects.remove(&key),
            };
        }
        if others && (self.wanted != self.addresses() || classes) {
            self.look_at_all();
        }
    }

    fn look_at_all(&mut self) {
        self.wanted = self.addresses();
        for key in self.objects.keys().filter(|key| key.kind == Kind::Ingress) {
            self.queue.add(key, Urgency::Backlog);
        }
    }

    /// The next Ingress whose status is to say something else, and what.
    pub(super) fn next(&mut self, now: Instant) -> Option<(ObjectKey, Vec<LoadBalancerIngress>)> {
        loop {
            let key = self.queue.next(now)?;
            match self.wanted.clone() {
                Some(wanted) if self.differs(&key, &wanted) => return Some((key, wanted)),
                _ => self.queue.done(&key),
            }
        }
    }

    /// When there will be something to do, if that is only a matter of time.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.due()
    }

    /// What became of a write.
    pub(super) fn written(&mut self, key: &ObjectKey, done: &Result<(), WriteError>, now: Instant) {
        match done {
            Ok(()) | Err(WriteError::Gone) => self.queue.done(key),
            Err(_) => self.queue.failed(key, now),
        }
    }

    /// Whether an Ingress is the mesh's own and its status says something else.
    fn differs(&self, key: &ObjectKey, wanted: &[LoadBalancerIngress]) -> bool {
        let (Some(mesh), Some(Part::Ingress { annotation, class, seen })) =
            (&self.settings, self.objects.get(key))
        else {
            return false;
        };
        let class = match self.objects.get(&key_of(Kind::IngressClass, "", class)) {
            Some(Part::Class(class)) => Some(class),
            _ => None,
        };
        seen != wanted
            && self.discovered.counts(&key.namespace)
            && is_served(mesh, annotation.as_deref(), class)
    }

    /// The addresses of the Service of the gateways, or, where the settings name none, of the node of the first gateway
    /// that runs.
    fn addresses(&self) -> Option<Vec<LoadBalancerIngress>> {
        let mesh = self.settings.as_ref()?;
        if !self.discovered.counts(&self.namespace) {
            return Some(Vec::new());
        }
        let found = match mesh.ingress_service.as_str() {
            "" => self.of_node(mesh),
            name => match self.objects.get(&key_of(Kind::Service, &self.namespace, name)) {
                Some(Part::Service(service)) => addresses::of_service(service),
                _ => Vec::new(),
            },
        };
        Some(addresses::listed(found))
    }

    fn of_node(&self, mesh: &MeshConfig) -> Vec<String> {
        let wanted = gateway(mesh);
        let nodes = self.objects.values().filter_map(|part| match part {
            Part::Pod { labels, runs: true, node } if labels.get("istio").is_some_and(|l| l == wanted) => {
                Some(node)
            }
            _ => None,
        });
        let mut known = nodes.filter_map(|node| match self.objects.get(&key_of(Kind::Node, "", node)) {
            Some(Part::Node(addresses)) => Some(addresses.clone()),
            _ => None,
        });
        known.next().unwrap_or_default()
    }
}
