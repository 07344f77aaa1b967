//! Who looks at debug pages: the credentials are those of streams.

use std::net::SocketAddr;
use std::sync::Arc;

use auth::{Authenticators, Credentials, Domains};
use ca::SpiffeId;
use debug::{Finding, Who};
use http::HeaderMap;
use xds::generate::Peer;

use super::gate::now;
use crate::authority::root::Settings;

/// Knows identities of the mesh. Those of others that it trusts say nothing about its namespaces.
pub(super) struct Viewers {
    /// Nobody is known without them.
    authenticators: Option<Arc<Authenticators>>,
    settings: Settings,
}

impl Viewers {
    pub(super) fn new(authenticators: Option<Arc<Authenticators>>, settings: Settings) -> Self {
        Self { authenticators, settings }
    }
}

impl Who for Viewers {
    fn of_request(&self, address: Option<SocketAddr>, headers: &HeaderMap) -> Finding {
        let credentials = Credentials::of(address, &[], headers);
        let (authenticators, settings) = (self.authenticators.clone(), self.settings.clone());
        Box::pin(async move {
            let found = authenticators?.authenticate(&credentials, now()).await;
            match found.and_then(|caller| Domains::now(&settings)?.admit(caller.identity)) {
                Ok(identity) => Some(identity.namespace().to_owned()),
                Err(reason) => {
                    tracing::info!(?address, %reason, "a debug page is refused: the client is not known");
                    None
                }
            }
        })
    }

    fn of_stream(&self, peer: &Peer) -> Option<String> {
        let [identity] = &*peer.identities else { return None };
        let identity: SpiffeId = identity.parse().ok()?;
        let admitted = Domains::now(&self.settings).and_then(|domains| domains.admit(identity));
        admitted.ok().map(|identity| identity.namespace().to_owned())
    }
}
