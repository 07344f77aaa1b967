//! Requests from the wire, sorted by what becomes of them.

use api::envoy::Message as _;
use api::envoy::config::core::v3::Node;
use api::envoy::google::rpc;
use api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use bytes::Bytes;

use super::status::Status;
use crate::kind::ResourceType;
use crate::protocol::{DeltaRequest, Rejection, SotwRequest, Variant};

/// A decoded request.
pub(super) struct Request {
    pub(super) node: Option<Node>,
    pub(super) type_url: String,
    pub(super) body: Body,
}

impl Request {
    /// The type that it is about, as far as a log should hold it: clients may write what they like.
    pub(super) fn named(&self) -> &str {
        self.type_url.get(..self.type_url.floor_char_boundary(LOGGED)).unwrap_or_default()
    }
}

/// Bytes of a type URL in the log.
const LOGGED: usize = 200;

/// What the protocol reads of it.
pub(super) enum Body {
    Delta(DeltaRequest),
    Sotw(SotwRequest),
}

impl Body {
    /// The names that it asks for.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Delta(request) => &request.subscribe,
            Self::Sotw(request) => &request.names,
        }
    }

    /// What it says is wrong.
    pub(super) fn into_error(self) -> Option<Rejection> {
        match self {
            Self::Delta(request) => request.error,
            Self::Sotw(request) => request.error,
        }
    }

    /// Whether it answers an earlier response.
    pub(super) fn is_reply(&self) -> bool {
        let (nonce, error) = match self {
            Self::Delta(request) => (&request.nonce, &request.error),
            Self::Sotw(request) => (&request.nonce, &request.error),
        };
        !nonce.is_empty() || error.is_some()
    }
}

/// What a type URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A type that is served from sets.
    Set(ResourceType),
    /// The health of a virtual machine's workload: told, not asked.
    Health,
    /// A debug page (spec/operations.md 2.1).
    Debug,
    /// A type of the ambient mode, which is not built.
    Ambient,
    /// Anything else: answered with nothing, so that no client waits.
    Unknown,
}

const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";
/// The beginning of those of debug pages.
pub(super) const DEBUG: &str = "istio.io/debug";
/// `istio.workload.Address`, `Workload`, and `istio.security.Authorization`.
const AMBIENT: [&str; 2] =
    ["type.googleapis.com/istio.workload.", "type.googleapis.com/istio.security.Authorization"];

/// What the client is told of types that are not built.
pub(super) const NOT_BUILT: &str = "not built: ambient (ztunnel's and waypoints' protocols), the proxyless gRPC generator, MCP configuration sources";

impl Wanted {
    /// Sorts a type URL.
    pub(super) fn of(type_url: &str) -> Self {
        match ResourceType::from_type_url(type_url) {
            Some(kind) => Self::Set(kind),
            None if type_url == HEALTH => Self::Health,
            None if type_url.starts_with(DEBUG) => Self::Debug,
            None if AMBIENT.iter().any(|prefix| type_url.starts_with(prefix)) => Self::Ambient,
            None => Self::Unknown,
        }
    }
}

/// Decodes a message of the given variant.
///
/// # Errors
/// It is not such a message.
pub(super) fn decode(variant: Variant, message: Bytes) -> Result<Request, Status> {
    let malformed = |error| Status::invalid_argument(format!("malformed discovery request: {error}"));
    Ok(match variant {
        Variant::Delta => {
            let request = DeltaDiscoveryRequest::decode(message).map_err(malformed)?;
            let body = DeltaRequest {
                subscribe: request.resource_names_subscribe,
                unsubscribe: request.resource_names_unsubscribe,
                held: request.initial_resource_versions,
                nonce: request.response_nonce,
                error: request.error_detail.map(rejection),
            };
            Request { node: request.node, type_url: request.type_url, body: Body::Delta(body) }
        }
        Variant::Sotw => {
            let request = DiscoveryRequest::decode(message).map_err(malformed)?;
            let body = SotwRequest {
                version: request.version_info,
                names: request.resource_names,
                nonce: request.response_nonce,
                error: request.error_detail.map(rejection),
            };
            Request { node: request.node, type_url: request.type_url, body: Body::Sotw(body) }
        }
    })
}

fn rejection(status: rpc::Status) -> Rejection {
    Rejection { code: status.code, message: status.message }
}
