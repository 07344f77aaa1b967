//! What the engine asks of the rooms that know the mesh: one trait, implemented by the binary.

use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

pub use api::ContentHash;
use api::{ObjectRef, Problem};
use bytes::Bytes;

use crate::kind::ResourceType;
use crate::slot::Slots;

/// The `node` of a client's first request.
pub type NodeInfo = api::envoy::config::core::v3::Node;

/// Who is at the other end of a stream, as far as the transport knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: Option<SocketAddr>,
    /// Identities that were verified (`spiffe://...`); empty without authentication.
    pub identities: Vec<String>,
}

/// The status codes with which a client may be refused (grpc/grpc: doc/statuscodes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Nothing more is said than the words.
    Unknown = 2,
    /// The node says something that is malformed.
    InvalidArgument = 3,
    /// The peer may not be this proxy.
    PermissionDenied = 7,
    /// Something must be there first that is not.
    FailedPrecondition = 9,
    /// What the client asks for is not built.
    Unimplemented = 12,
    /// A fault of the control plane.
    Internal = 13,
    /// Not now, but perhaps soon.
    Unavailable = 14,
    /// The peer is not known.
    Unauthenticated = 16,
}

/// Why a client is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// The gRPC status message.
    pub message: String,
}

/// What a plan has of one type. Both lists are ascending and without duplicates.
///
/// The engine takes a list that is the very slice of the previous plan as unchanged without a look inside.
pub struct LayerPlan<'p, K> {
    /// Names and keys.
    pub entries: &'p [(Arc<str>, K)],
    /// Names of lower layers that are hidden.
    pub hidden: &'p [Arc<str>],
}

impl<K> Default for LayerPlan<'_, K> {
    fn default() -> Self {
        Self { entries: &[], hidden: &[] }
    }
}

/// A piece of an encoded resource.
pub enum Fragment<P> {
    /// Encoded fields of the message, whole.
    Bytes(Bytes),
    /// Encoded fields that are made from a key of their own and shared between resources.
    Part(P),
}

/// A resource: the concatenation of its fragments is the encoded message.
pub struct Built<P> {
    /// The fragments, in order.
    pub fragments: Vec<Fragment<P>>,
    /// Whether there may be placeholders for slots in its own bytes. Those of parts are the parts' affair.
    pub slotted: bool,
    /// The objects that it was made from, without those of its parts.
    pub sources: Vec<ObjectRef>,
    /// What was found wrong.
    pub problems: Vec<Problem>,
}

impl<P> Built<P> {
    /// A resource of one piece.
    pub fn whole(bytes: Bytes) -> Self {
        Self {
            fragments: vec![Fragment::Bytes(bytes)],
            slotted: false,
            sources: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// A part of resources: encoded fields, with their tags.
#[derive(Default)]
pub struct BuiltPart {
    /// The encoded fields.
    pub bytes: Bytes,
    /// Whether there may be placeholders for slots.
    pub slotted: bool,
    /// The objects that it was made from.
    pub sources: Vec<ObjectRef>,
    /// What was found wrong.
    pub problems: Vec<Problem>,
}

/// The mesh as the engine sees it: classes of proxies, their plans, and resources made from keys.
///
/// All methods are pure and are called from several threads at once. A panic in `slots`, `classes`, `plan`, `build` or
/// `build_part` is caught, counted and reported.
pub trait Generate: Send + Sync + 'static {
    /// An immutable snapshot of the mesh.
    type Mesh: Send + Sync + 'static;
    /// What changed between two snapshots; the default is: nothing.
    type Changes: Default + Send + Sync + 'static;
    /// A client.
    type Proxy: Send + Sync + 'static;
    /// All that a plan may read of a proxy.
    type Class: Clone + Ord + Hash + Send + Sync + 'static;
    /// What a class of proxies has.
    type Plan: Send + Sync + 'static;
    /// All that a resource is made from, its name and type included.
    type Key: ContentHash + Clone + Send + Sync + 'static;
    /// All that a part is made from.
    type Part: ContentHash + Clone + Send + Sync + 'static;

    /// Reads a client's node.
    fn proxy(&self, node: &NodeInfo, peer: &Peer) -> Result<Self::Proxy, Refusal>;

    /// The proxy's values for the slots.
    fn slots(&self, mesh: &Self::Mesh, proxy: &Self::Proxy) -> Slots;

    /// The classes whose plans make up what the proxy gets, lowest layer first.
    fn classes(&self, mesh: &Self::Mesh, proxy: &Self::Proxy) -> Vec<Self::Class>;

    /// Whether these changes may give the proxy other classes or slot values. Called for every proxy at every update,
    /// so it should be quick; `true` is always right.
    fn reclassify(&self, changes: &Self::Changes, proxy: &Self::Proxy) -> bool;

    /// The class that this one is planned upon: one of the classes of the same proxies that stands lower and is itself
    /// planned upon none.
    fn below(&self, _class: &Self::Class) -> Option<Self::Class> {
        None
    }

    /// What the class has in this mesh.
    ///
    /// `below` is the plan of the class that [`Generate::below`] tells, in this mesh; none if it could not be made.
    /// `previous` is the class's last plan with what changed since; returning that same `Arc` says that nothing of the
    /// class is touched. With `hold` an entry that would name what does not exist, while its last form does not, keeps
    /// its last form (design 3.10); a call without `hold` and with the default changes is how such entries are
    /// released. Without `previous` nothing is held.
    fn plan(
        &self,
        mesh: &Self::Mesh,
        class: &Self::Class,
        previous: Option<(&Arc<Self::Plan>, &Self::Changes)>,
        hold: bool,
        below: Option<&Arc<Self::Plan>>,
    ) -> Arc<Self::Plan>;

    /// Whether some entry of the plan is held.
    fn holding(&self, plan: &Self::Plan) -> bool;

    /// What is left out of the plan, and why.
    fn problems<'p>(&self, plan: &'p Self::Plan) -> &'p [Problem];

    /// What the plan has of one type.
    fn layer<'p>(&self, plan: &'p Self::Plan, kind: ResourceType) -> LayerPlan<'p, Self::Key>;

    /// Makes a resource.
    fn build(&self, key: &Self::Key) -> Built<Self::Part>;

    /// Makes a part.
    fn build_part(&self, part: &Self::Part) -> BuiltPart;

    /// The objects that a key was made from, to name them when `build` panics.
    fn sources(&self, key: &Self::Key) -> Vec<ObjectRef>;

    /// The objects that a part was made from, to name them when `build_part` panics.
    fn part_sources(&self, part: &Self::Part) -> Vec<ObjectRef>;

    /// What stays the same of a part while it changes, such as the virtual host's name: the last good form of a part
    /// whose build panics is the part of this name in the last form of the resource.
    fn part_name(&self, part: &Self::Part) -> Arc<str>;

    /// The encoded resource that answers for a name that is not in the proxy's set; `None` if there is nothing to say.
    fn absent(&self, proxy: &Self::Proxy, kind: ResourceType, name: &str) -> Option<Bytes>;

    /// What is served when `build` panics and there is no last good form; `None` leaves the resource out.
    fn default_substitute(&self, key: &Self::Key) -> Option<Bytes>;

    /// What is served when `build_part` panics and there is no last good form; `None` leaves the part out.
    fn part_substitute(&self, part: &Self::Part) -> Option<Bytes>;
}
