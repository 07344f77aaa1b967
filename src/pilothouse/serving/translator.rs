//! Joins `xds` and `translate`: the engine's questions, answered by plans and builders.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use api::{ObjectRef, Problem, Severity};
use bytes::{BufMut, Bytes, BytesMut};
use envoy::config::endpoint::v3::ClusterLoadAssignment;
use model::endpoint::Locality;
use model::mesh::Account;
use model::proxy::{NodeError, identity};
use model::{Changes, Mesh, Proxy};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use translate::routes::RouteKey;
use translate::secrets::{Content, SecretKey};
use translate::{
    Class, Key, Part, Plan, class, clusters, endpoints, listeners, names, plan, routes, secrets, slots, trust,
};
use xds::generate::{Built, BuiltPart, Code, Fragment, Generate, LayerPlan, NodeInfo, Peer, Refusal};
use xds::kind::ResourceType;
use xds::slot::Slots;

use crate::authority::root::Settings;
use crate::authority::trust::of_the_mesh;
use crate::serving::secret_access::Accounts;

/// Answers the engine from the rooms that know the mesh.
#[derive(Debug, Default)]
pub(crate) struct Translator {
    /// Who asks for secrets; none where nobody is served.
    accounts: Option<Accounts>,
    /// The plan with routes that was made last: the next one that is planned upon none keeps nothing twice that this one
    /// has.
    latest: Mutex<Weak<Plan>>,
    /// Whether proxies whose identity was verified must be who they say.
    checked: bool,
    /// Says whose identities are of the mesh.
    settings: Option<Settings>,
}

/// The field number of `RouteConfiguration.virtual_hosts`: a virtual host is encoded once, as this field of whatever
/// configuration holds it.
const VIRTUAL_HOSTS: u32 = 2;

impl Translator {
    /// One that serves secrets to those that may have them, and refuses proxies which are not who they say, if `checked`.
    pub(crate) fn new(accounts: Accounts, checked: bool) -> Self {
        Self { accounts: Some(accounts), checked, ..Self::default() }
    }

    /// The same, but identities of other trust domains than those of this mesh configuration have no account.
    #[must_use]
    pub(crate) fn within(self, settings: Settings) -> Self {
        Self { settings: Some(settings), ..self }
    }

    /// The service account that the peer was proved to run as, if it fits what the node says.
    fn account(&self, proxy: &Proxy, peer: &Peer) -> Option<Arc<Account>> {
        let name = &proxy.metadata.service_account;
        let identities = of_the_mesh(self.settings.as_ref(), &peer.identities);
        let name = identity::service_account(&identities, &proxy.namespace, name)?;
        let account = Account {
            cluster: Arc::clone(&proxy.metadata.cluster_id),
            namespace: Arc::clone(&proxy.namespace),
            name: name.into(),
        };
        Some(self.accounts.as_ref()?.of(account))
    }

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

    fn proxy(&self, node: &NodeInfo, peer: &Peer) -> Result<Proxy, Refusal> {
        let proxy = proxy(node)?;
        if self.checked {
            check_identity(&proxy, &peer.identities)?;
        }
        Ok(Proxy { account: self.account(&proxy, peer), ..proxy })
    }

    fn slots(&self, mesh: &Mesh, proxy: &Proxy) -> Slots {
        Slots::new(slots::values(mesh, proxy))
    }

    fn classes(&self, mesh: &Mesh, proxy: &Proxy) -> Vec<Class> {
        class::classes(mesh, proxy)
    }

    fn reclassify(&self, changes: &Changes, proxy: &Proxy) -> bool {
        let named = |name: &Arc<str>| (Arc::clone(&proxy.namespace), Arc::clone(name));
        let admitted = |account: &Arc<Account>| changes.accounts.contains(&**account);
        changes.classes
            || proxy.account.as_ref().is_some_and(admitted)
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
            ResourceType::ProxyConfig => LayerPlan { entries: &plan.trusted, hidden: &[] },
            ResourceType::Secret => LayerPlan { entries: &plan.secrets, hidden: &[] },
            ResourceType::ExtensionConfig => LayerPlan::default(),
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
            Key::Secret(key) => secret(key),
            Key::Trust(key) => whole(trust::build(key)),
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

    fn absent(&self, proxy: &Proxy, kind: ResourceType, name: &str) -> Option<Bytes> {
        match kind {
            ResourceType::Secret => {
                if let (Some(accounts), Some(account)) = (&self.accounts, &proxy.account) {
                    accounts.ask(account, name);
                }
                None
            }
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
    let metadata = node.metadata.as_ref().map(api::json::struct_json).unwrap_or_default();
    let locality = node.locality.as_ref().map(|l| Locality {
        region: l.region.clone(),
        zone: l.zone.clone(),
        subzone: l.sub_zone.clone(),
    });
    let proxy = Proxy::parse(&node.id, &metadata, locality.unwrap_or_default()).map_err(|error| {
        let code = match error {
            NodeError::NotServed(_) => Code::Unimplemented,
            _ => Code::InvalidArgument,
        };
        Refusal { code, message: error.to_string() }
    })?;
    Ok(Proxy { says_extensions: !node.extensions.is_empty(), ..proxy })
}

/// A Secret, with what is wrong with it as far as that can be told from its content. It is sent all the same: what Envoy
/// makes of it decides, and it keeps the last one that it could use.
fn secret(key: &SecretKey) -> Built<Part> {
    let checked = match &key.content {
        Content::Pair(pair, _) => ca::check_key_pair(&pair.chain, pair.key.expose()),
        Content::Roots(roots) => ca::check_roots(&roots.certificates),
    };
    let mut built = whole(secrets::build(key));
    built.problems.extend(checked.err().map(|error| Problem {
        severity: Severity::Error,
        object: key.source().key.clone(),
        field: "data".to_owned(),
        message: format!("proxies cannot use it: {error}"),
        hint: "write a certificate chain with the key of its first certificate, both in PEM".to_owned(),
    }));
    built
}

/// Holds what a proxy says of itself against the identities that were verified; where none was asked for, all is well. The
/// trust domain does not count, as in the reference: it was looked at when the identity was.
///
/// # Errors
/// None of them has its namespace and, if it names one, its service account (spec security.md 3).
pub(crate) fn check_identity(proxy: &Proxy, identities: &[String]) -> Result<(), Refusal> {
    let account = &proxy.metadata.service_account;
    let fits = identity::service_account(identities, &proxy.namespace, account).is_some();
    if identities.is_empty() || fits {
        return Ok(());
    }
    let message = format!(
        "the proxy says that it is of namespace {:?} and service account {account:?}; its credentials are of {}",
        proxy.namespace,
        identities.join(", ")
    );
    tracing::warn!(proxy = %proxy.node_id, "refused: {message}");
    Err(Refusal { code: Code::PermissionDenied, message })
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
        let catch_all = routes::catch_all::CatchAll {
            unknown,
            attempt_count: false,
            forwarded_host: false,
            sidecar: None,
        };
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
    fn a_proxy_is_of_the_namespace_and_account_of_its_credentials() {
        let proxy = |metadata: serde_json::Value| {
            let id = "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local";
            Proxy::parse(id, &metadata, Locality::default()).expect("a proxy")
        };
        let web = ["spiffe://cluster.local/ns/shop/sa/web".to_owned()];
        let check = |metadata, identities: &[String]| check_identity(&proxy(metadata), identities);
        for metadata in
            [serde_json::json!({}), serde_json::json!({"NAMESPACE": "shop", "SERVICE_ACCOUNT": "web"})]
        {
            assert_eq!(check(metadata.clone(), &web), Ok(()));
            assert_eq!(check(metadata, &[]), Ok(()), "without TLS nobody is known");
        }
        for metadata in [
            serde_json::json!({"NAMESPACE": "bank"}),
            serde_json::json!({"NAMESPACE": "shop", "SERVICE_ACCOUNT": "admin"}),
        ] {
            let refused = check(metadata, &web).expect_err("a refusal");
            assert_eq!(refused.code, Code::PermissionDenied);
        }
        assert!(check(serde_json::json!({}), &["not an identity".to_owned()]).is_err());
    }

    #[test]
    fn placeholders_are_those_that_the_wire_fills() {
        for i in [slots::CANONICAL_SERVICE, slots::CANONICAL_REVISION, slots::MESH_ID, slots::CLUSTER_ID] {
            assert_eq!(slots::placeholder(i), xds::slot::placeholder(i));
        }
    }
}
