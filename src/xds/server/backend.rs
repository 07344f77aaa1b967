//! What the rim needs of the engine: a door that streams knock at, and what they hold while they are connected.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::mailbox::Mailbox;
use super::status::Status;
use crate::engine::{ProxyId, ProxySets};
use crate::generate::{NodeInfo, Peer};
use crate::kind::ResourceType;

/// Makes proxies of clients.
pub(super) trait Backend: Send + Sync {
    /// Connects a client; newer sets come into the mailbox.
    ///
    /// # Errors
    /// The node says something that is refused.
    fn connect(
        &self,
        node: &NodeInfo,
        peer: &Peer,
        mailbox: Mailbox,
    ) -> Result<oneshot::Receiver<Result<Connected, Status>>, Status>;
}

/// A client that the engine knows.
pub(super) struct Connected {
    /// What it is to have now.
    pub(super) sets: ProxySets,
    pub(super) lease: Box<dyn Lease>,
}

/// The engine's knowledge of a client; dropping it disconnects the client.
pub(super) trait Lease: Send {
    /// The engine's number of the client.
    fn proxy(&self) -> ProxyId;

    /// The encoded resource that answers for a name that is not in the client's set.
    fn absent(&self, kind: ResourceType, name: &str) -> Option<Bytes>;
}
