//! Joins `xds` and `translate`: the engine's questions, answered by plans and builders.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use api::{ObjectRef, Problem};
use bytes::{BufMut, Bytes, BytesMut};
use envoy::config::endpoint::v3::ClusterLoadAssignment;
use model::endpoint::Locality;
use model::proxy::NodeError;
use model::{Changes, Mesh, Proxy};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use translate::routes::RouteKey;
use translate::{Class, Key, Part, Plan, class, clusters, endpoints, listeners, names, plan, routes, slots};
use xds::generate::{Built, BuiltPart, Code, Fragment, Generate, LayerPlan, NodeInfo, Peer, Refusal};
use xds::kind::ResourceType;
use xds::slot::Slots;

/// Answers the engine from the rooms that know the mesh.
#[derive(Debug, Default)]
pub struct Translator {
    /// The plan with routes that was made last: the next one that is planned upon none keeps nothing twice that this one
    /// has.
    latest: Mutex<Weak<Plan>>,
}

/// The field number of `RouteConfiguration.virtual_hosts`: a virtual host is encoded once, as this field of whatever
/// configuration holds it.
const VIRTUAL_HOSTS: u32 = 2;

impl Translator {
    fn latest(&self) -> MutexGuard<'_, Weak<Plan>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generate for Translator {
    type Mesh = Mesh;
    type Changes = Changes;
    type Proxy = Proxy;
    type Class = Class;
    type Plan = Plan;
    type Key = Key;
    type Part = Part;

    fn proxy(&self, node: &NodeInfo, _peer: &Peer) -> Result<Proxy, Refusal> {
        proxy(node)
    }

    fn slots(&self, mesh: &Mesh, proxy: &Proxy) -> Slots {
        Slots::new(slots::values(mesh, proxy))
    }

    fn classes(&self, mesh: &Mesh, proxy: &Proxy) -> Vec<Class> {
        class::classes(mesh, proxy)
    }

    fn reclassify(&self, changes: &Changes, proxy: &Proxy) -> bool {
        let named = |name: &Arc<str>| (Arc::clone(&proxy.namespace), Arc::clone(name));
        changes.classes
            || changes.workloads.contains(&named(&proxy.pod))
            || changes.workloads.contains(&named(&Arc::from("")))
    }

    fn below(&self, class: &Class) -> Option<Class> {
        class.below()
    }

    fn plan(
        &self,
        mesh: &Mesh,
        class: &Class,
        previous: Option<(&Arc<Plan>, &Changes)>,
        hold: bool,
        below: Option<&Arc<Plan>>,
    ) -> Arc<Plan> {
        let beside = below.cloned().or_else(|| self.latest().upgrade());
        let plan = plan::plan(mesh, class, previous, hold, beside.as_deref());
        if !plan.routes.is_empty() {
            *self.latest() = Arc::downgrade(&plan);
        }
        plan
    }

    fn holding(&self, plan: &Plan) -> bool {
        plan.holding
    }

    fn problems<'p>(&self, plan: &'p Plan) -> &'p [Problem] {
        &plan.problems
    }

    fn layer<'p>(&self, plan: &'p Plan, kind: ResourceType) -> LayerPlan<'p, Key> {
        match kind {
            ResourceType::Cluster => LayerPlan { entries: &plan.clusters, hidden: &plan.hidden_clusters },
            ResourceType::Endpoints => LayerPlan { entries: &plan.endpoints, hidden: &plan.hidden_endpoints },
            ResourceType::Listener => LayerPlan { entries: &plan.listeners, hidden: &plan.hidden_listeners },
            ResourceType::Route => LayerPlan { entries: &plan.routes, hidden: &[] },
            ResourceType::NameTable => LayerPlan { entries: &plan.names, hidden: &[] },
            ResourceType::Secret | ResourceType::ExtensionConfig => LayerPlan::default(),
        }
    }

    fn build(&self, key: &Key) -> Built<Part> {
        match key {
            Key::Cluster(key) => whole(clusters::build(key)),
            Key::Endpoints(key) => whole(endpoints::build(key)),
            Key::Listener(key) => Built { slotted: true, ..whole(listeners::build(key)) },
            Key::Route(key) => {
                let mut built = whole(routes::build_head(key));
                let parts = key.virtual_hosts.iter().cloned().map(Part::VirtualHost);
                built.fragments.extend(parts.map(Fragment::Part));
                built
            }
            Key::Names(key) => {
                let parts = key.parts.iter().cloned().map(Part::Names);
                Built { fragments: parts.map(Fragment::Part).collect(), ..Built::whole(Bytes::new()) }
            }
        }
    }

    fn build_part(&self, part: &Part) -> BuiltPart {
        let (bytes, sources, problems) = match part {
            Part::VirtualHost(key) => {
                let built = routes::build_virtual_host(key);
                (virtual_host_field(&built.message), built.sources, built.problems)
            }
            Part::Names(key) => {
                let built = names::build(key);
                (built.message.encode_to_vec().into(), built.sources, built.problems)
            }
        };
        BuiltPart { bytes, sources, problems, slotted: false }
    }

    fn sources(&self, key: &Key) -> Vec<ObjectRef> {
        match key {
            Key::Route(key) => key.virtual_hosts.iter().flat_map(|v| v.sources()).collect(),
            Key::Names(key) => key.parts.iter().flat_map(|part| part.sources()).collect(),
            _ => Vec::new(),
        }
    }

    fn part_sources(&self, part: &Part) -> Vec<ObjectRef> {
        match part {
            Part::VirtualHost(key) => key.sources(),
            Part::Names(key) => key.sources(),
        }
    }

    fn part_name(&self, part: &Part) -> Arc<str> {
        match part {
            Part::VirtualHost(key) => key.name(),
            Part::Names(key) => key.name(),
        }
    }

    fn absent(&self, _proxy: &Proxy, kind: ResourceType, name: &str) -> Option<Bytes> {
        match kind {
            ResourceType::Endpoints => {
                let empty = ClusterLoadAssignment { cluster_name: name.to_owned(), ..Default::default() };
                Some(empty.encode_to_vec().into())
            }
            ResourceType::Route => {
                let empty = RouteKey { name: name.into(), virtual_hosts: Vec::new() };
                Some(routes::build_head(&empty).message.encode_to_vec().into())
            }
            _ => None,
        }
    }

    fn default_substitute(&self, _key: &Key) -> Option<Bytes> {
        None
    }

    fn part_substitute(&self, part: &Part) -> Option<Bytes> {
        match part {
            Part::VirtualHost(key) => Some(virtual_host_field(&routes::substitute::virtual_host(key))),
            // The agent asks the resolver above for names that it does not find.
            Part::Names(_) => None,
        }
    }
}

/// The proxy that a node is.
///
/// # Errors
/// The node says something malformed, or is of a kind that is not served.
pub(crate) fn proxy(node: &NodeInfo) -> Result<Proxy, Refusal> {
    let metadata = node.metadata.as_ref().map(api::json::to_json).unwrap_or_default();
    let locality = node.locality.as_ref().map(|l| Locality {
        region: l.region.clone(),
        zone: l.zone.clone(),
        subzone: l.sub_zone.clone(),
    });
    Proxy::parse(&node.id, &metadata, locality.unwrap_or_default()).map_err(|error| {
        let code = match error {
            NodeError::NotServed(_) => Code::Unimplemented,
            _ => Code::InvalidArgument,
        };
        Refusal { code, message: error.to_string() }
    })
}

/// A resource of one piece.
fn whole<M: Message>(built: translate::Built<M>) -> Built<Part> {
    Built {
        fragments: vec![Fragment::Bytes(built.message.encode_to_vec().into())],
        slotted: false,
        sources: built.sources,
        problems: built.problems,
    }
}

/// A virtual host with the tag and length that it has inside of a route configuration.
fn virtual_host_field(host: &impl Message) -> Bytes {
    let len = host.encoded_len();
    let mut bytes = BytesMut::with_capacity(len.saturating_add(12));
    encode_key(VIRTUAL_HOSTS, WireType::LengthDelimited, &mut bytes);
    encode_varint(len as u64, &mut bytes);
    bytes.put_slice(&host.encode_to_vec());
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use envoy::config::route::v3::RouteConfiguration;
    use model::Ref;
    use translate::routes::VirtualHostKey;

    use super::*;

    #[test]
    fn a_virtual_host_that_cannot_be_built_answers_with_its_name() {
        let unknown = routes::catch_all::Unknown::Pass;
        let catch_all = routes::catch_all::CatchAll { unknown, attempt_count: false, sidecar: None };
        let host = Part::VirtualHost(Ref::new(VirtualHostKey::CatchAll(catch_all)));
        let bytes = Translator::default().part_substitute(&host);
        let head = routes::build_head(&RouteKey { name: "80".into(), virtual_hosts: Vec::new() });
        let whole = [head.message.encode_to_vec(), bytes.expect("a substitute").to_vec()].concat();
        let decoded = RouteConfiguration::decode(&*whole).expect("a route configuration");
        let host = &decoded.virtual_hosts[0];
        assert_eq!((host.name.as_str(), host.domains.as_slice()), ("*", ["*".to_owned()].as_slice()));
        let json = api::json::to_json(&host.routes[0]);
        let answer =
            serde_json::json!({"status": 500, "body": {"inlineString": "virtual host * cannot be built"}});
        assert_eq!(json["directResponse"], answer);
    }

    #[test]
    fn placeholders_are_those_that_the_wire_fills() {
        for i in [slots::CANONICAL_SERVICE, slots::CANONICAL_REVISION, slots::MESH_ID, slots::CLUSTER_ID] {
            assert_eq!(slots::placeholder(i), xds::slot::placeholder(i));
        }
    }
}
