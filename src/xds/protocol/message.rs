//! Requests as the protocol sees them, and the responses that it wants sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::Rejection;
use crate::encoded::Encoded;
use crate::kind::ResourceType;
use crate::slot::Slots;

/// The two forms of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// State of the world: `StreamAggregatedResources`.
    Sotw,
    /// Incremental: `DeltaAggregatedResources`.
    Delta,
}

/// A `DeltaDiscoveryRequest` for a type that is served.
#[derive(Clone, Debug, Default)]
pub struct DeltaRequest {
    /// Names to subscribe to; `*` is everything.
    pub subscribe: Vec<String>,
    /// Names that are wanted no more.
    pub unsubscribe: Vec<String>,
    /// What the client holds from an earlier stream: name to version.
    pub held: BTreeMap<String, String>,
    /// The response that this answers; empty for none.
    pub nonce: String,
    /// Why the client refuses that response.
    pub error: Option<Rejection>,
}

/// A `DiscoveryRequest` for a type that is served.
#[derive(Clone, Debug, Default)]
pub struct SotwRequest {
    /// The version that the client holds.
    pub version: String,
    /// All names that are wanted; none means everything for wildcard types.
    pub names: Vec<String>,
    /// The response that this answers; empty for none.
    pub nonce: String,
    /// Why the client refuses that response.
    pub error: Option<Rejection>,
}

/// A response to send. The resources are shared; nothing is copied until the transport asks.
#[derive(Clone, Debug)]
pub struct Response {
    /// Which envelope it gets.
    pub variant: Variant,
    /// The type.
    pub kind: ResourceType,
    /// Its nonce, unique on the stream.
    pub nonce: String,
    /// `version_info` of the state of the world; empty in delta, where each resource has its version.
    pub version: String,
    /// The resources, in name order.
    pub resources: Vec<Arc<Encoded>>,
    /// Delta: names that are no more, in order.
    pub removed: Vec<Arc<str>>,
    /// The values of the proxy to fill slots with.
    pub slots: Slots,
}
