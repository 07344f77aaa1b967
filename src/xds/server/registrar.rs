//! What is done elsewhere when clients come, tell of their health, and go: workloads outside of Kubernetes are registered.

use std::future::Future;
use std::pin::Pin;

use crate::generate::{NodeInfo, Peer, Refusal};

/// Registers clients; implemented by whoever can.
pub trait Registrar: Send + Sync + 'static {
    /// What is done before this client is served; `None` for a client that is none of those who are registered.
    fn register(&self, node: &NodeInfo, peer: &Peer) -> Option<Registering>;
}

/// A registration on its way. If the client goes meanwhile it is dropped, which must undo it.
pub type Registering = Pin<Box<dyn Future<Output = Result<Box<dyn Registered>, Refusal>> + Send>>;

/// A client that is registered; dropped when its stream ends.
pub trait Registered: Send {
    /// Takes what the client tells of the health of its workload.
    fn health(&self, health: Health);
}

/// What a client tells of the health of its workload (`istio.v1.HealthInformation`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It takes requests.
    Healthy,
    /// It does not, for this reason.
    Unhealthy(String),
}
