//! Who opens a stream: found out elsewhere, before anything is read from the stream.

use std::future::Future;
use std::pin::Pin;

use http::HeaderMap;

use crate::generate::{Peer, Refusal};

/// Finds out who opens a stream; implemented by whoever knows credentials.
pub trait Gate: Send + Sync + 'static {
    /// The identities of the client that opens a stream with these headers. `peer` is what is known of its connection: the
    /// identities there are those of its certificate.
    fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Admitting;
}

/// The identities of a client, on their way; at least one, or why it is not let in.
pub type Admitting = Pin<Box<dyn Future<Output = Result<Vec<String>, Refusal>> + Send>>;
