//! Keys: all that a builder may look at, and the identity of what it builds.

use std::sync::Arc;

use api::ContentHash;
use model::Ref;

use crate::clusters::ClusterKey;
use crate::endpoints::EndpointsKey;
use crate::listeners::ListenerKey;
use crate::names::{NameTableKey, NamesKey};
use crate::routes::{RouteKey, VirtualHostKey};
use crate::secrets::SecretKey;
use crate::trust::TrustKey;

/// The key of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A Cluster.
    Cluster(Ref<ClusterKey>),
    /// A ClusterLoadAssignment.
    Endpoints(Ref<EndpointsKey>),
    /// A Listener.
    Listener(Ref<ListenerKey>),
    /// A RouteConfiguration.
    Route(Ref<RouteKey>),
    /// A NameTable.
    Names(Ref<NameTableKey>),
    /// A Secret.
    Secret(Ref<SecretKey>),
    /// What peers trust.
    Trust(Ref<TrustKey>),
}

impl ContentHash for Key {
    /// The hash of its content, told apart by kind.
    fn content_hash(&self) -> u128 {
        let (tag, hash) = match self {
            Self::Cluster(k) => (1, k.content_hash()),
            Self::Endpoints(k) => (2, k.content_hash()),
            Self::Listener(k) => (3, k.content_hash()),
            Self::Route(k) => (4, k.content_hash()),
            Self::Names(k) => (5, k.content_hash()),
            Self::Secret(k) => (6, k.content_hash()),
            Self::Trust(k) => (7, k.content_hash()),
        };
        hash.rotate_left(8) ^ tag
    }
}

/// The key of a part of a resource, which other resources may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A virtual host of a RouteConfiguration.
    VirtualHost(Ref<VirtualHostKey>),
    /// Entries of a NameTable.
    Names(Ref<NamesKey>),
}

impl ContentHash for Part {
    /// The hash of its content, told apart by kind.
    fn content_hash(&self) -> u128 {
        match self {
            Self::VirtualHost(k) => k.content_hash(),
            Self::Names(k) => k.content_hash().rotate_left(8) ^ 1,
        }
    }
}

/// Planned resources of one kind: name and key, sorted by name, names unique.
pub type Entries = Arc<[(Arc<str>, Key)]>;

/// Sorts planned resources by name; of several with one name the first stays.
pub fn entries(mut planned: Vec<(Arc<str>, Key)>) -> Entries {
    planned.sort_by(|a, b| a.0.cmp(&b.0));
    planned.dedup_by(|later, first| later.0 == first.0);
    planned.into()
}
