//! What authorization looks at: the connection, the request, and what filters wrote before.

use std::net::{IpAddr, SocketAddr};

use envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

use super::metadata::Metadata;
use super::rbac::Decision;
use crate::simulator::downstream::Content;
use crate::simulator::{Call, ClientTls, Request};

/// What is known of a call at a filter.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Facts<'a> {
    pub(in crate::simulator) call: &'a Call,
    /// The client's TLS, if it ends here.
    pub(super) tls: Option<&'a ClientTls>,
    /// The request; none of a connection that does not carry HTTP.
    pub(in crate::simulator) request: Option<&'a Request>,
    /// The client, as those before told it.
    pub(super) client: IpAddr,
    pub(in crate::simulator) metadata: Metadata,
}

impl<'a> Facts<'a> {
    /// Of a connection.
    pub(in crate::simulator) fn of_connection(call: &'a Call, content: &Content) -> Self {
        Self {
            call,
            tls: call.tls.as_ref().filter(|_| content.tls),
            request: None,
            client: call.source.ip(),
            metadata: Metadata::default(),
        }
    }

    /// Of a request at a connection manager.
    pub(in crate::simulator) fn of_request(
        manager: &HttpConnectionManager,
        call: &'a Call,
        content: &Content,
        request: &'a Request,
    ) -> Self {
        let client = client(manager, call, request);
        Self { request: Some(request), client, ..Self::of_connection(call, content) }
    }

    /// Where the connection goes, as the listener has it.
    pub(super) fn destination(&self) -> SocketAddr {
        self.call.wanted
    }

    /// Notes what shadow rules decided, under the names that begin with `prefix`.
    pub(super) fn mark(&mut self, filter: &str, prefix: &str, decision: &Decision) {
        let result = if decision.allowed { "allowed" } else { "denied" };
        self.metadata.write(filter, &format!("{prefix}shadow_engine_result"), result.into());
        if let Some(policy) = &decision.policy {
            let key = format!("{prefix}shadow_effective_policy_id");
            self.metadata.write(filter, &key, policy.as_str().into());
        }
    }
}

/// The client's address: of the connection, or what `x-forwarded-for` says where those before are trusted.
///
/// Source: <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-for>.
fn client(manager: &HttpConnectionManager, call: &Call, request: &Request) -> IpAddr {
    let own = call.source.ip();
    let edge = manager.use_remote_address.is_some_and(|b| b.value);
    let hops = usize::try_from(manager.xff_num_trusted_hops).unwrap_or(usize::MAX);
    // The edge adds the address of its own peer: of those that came the one counts that the last trusted hop added.
    let from_right = match (edge, hops) {
        (true, 0) => return own,
        (true, hops) => hops - 1,
        (false, hops) => hops,
    };
    let forwarded = request.value("x-forwarded-for").unwrap_or_default();
    let known = forwarded.rsplit(',').nth(from_right).and_then(|text| text.trim().parse().ok());
    known.unwrap_or(own)
}
