//! The debug pages that `istioctl` reads over ADS: answered on every request, never subscribed to.

use std::future::Future;
use std::pin::Pin;

use crate::generate::Peer;
use crate::server::status::Status;

/// The resources of a debug answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugAnswer {
    /// Names and encoded `google.protobuf.Any`s, in order.
    pub resources: Vec<(String, bytes::Bytes)>,
    /// The version of the answer.
    pub version: String,
    /// What the control plane calls itself in the answer; empty for nothing.
    pub control_plane: String,
}

/// An answer on its way. The stream reads nothing more before it is there.
pub type Answering = Pin<Box<dyn Future<Output = Result<DebugAnswer, Status>> + Send>>;

/// Makes the debug pages; implemented by whoever has them.
pub trait DebugTypes: Send + Sync + 'static {
    /// The answer to a request for `type_url`, which begins with `istio.io/debug`. If the peer may not see it, or the request is
    /// malformed, the stream ends with the status in its place.
    fn answer(&self, type_url: &str, names: &[String], peer: &Peer) -> Answering;
}
