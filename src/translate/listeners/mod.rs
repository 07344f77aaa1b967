//! Listeners: what a proxy accepts and which filters see it (LDS).
//!
//! Source: Istio `pilot/pkg/networking/core/listener*.go`; `shared/spec/xds.md` 4.

pub mod access_log;
pub mod gateway;
pub mod http;
pub mod inbound;
pub mod outbound;
pub(crate) mod shape;
pub mod tcp;

use api::Duration;
use envoy::config::listener::v3::{Listener, listener};

use crate::class::SharedView;
use crate::output::Built;
use gateway::GatewayKey;
use http::HttpDefaults;
use inbound::InboundKey;
use outbound::{OutboundKey, VirtualOutboundKey};

/// The idle timeout that a proxy's metadata ask for; one that cannot be read counts as not given.
pub fn idle_timeout(view: &SharedView) -> Option<Duration> {
    view.idle_timeout.parse().ok()
}

/// The buffer of a connection in bytes, if the proxy's configuration sets it.
pub fn buffer_limit(http: &HttpDefaults) -> Option<u32> {
    let asked = http.connection()?.listener_per_connection_buffer_limit_bytes?;
    u32::try_from(asked).ok()
}

/// The application protocols under which an inspector reports plaintext HTTP.
pub fn http_protocols(http10: bool) -> Vec<String> {
    let known = ["http/1.0", "http/1.1", "h2c"];
    known.into_iter().skip(usize::from(!http10)).map(str::to_owned).collect()
}

/// Connections are spread exactly over the worker threads.
fn exact_balance() -> listener::ConnectionBalanceConfig {
    use listener::connection_balance_config::{BalanceType, ExactBalance};
    listener::ConnectionBalanceConfig {
        balance_type: Some(BalanceType::ExactBalance(ExactBalance::default())),
    }
}

/// All that a listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKey {
    /// An outbound listener of a sidecar.
    Outbound(OutboundKey),
    /// Where a sidecar's outbound traffic is redirected to.
    VirtualOutbound(VirtualOutboundKey),
    /// A listener of a gateway.
    Gateway(GatewayKey),
    /// An inbound listener of a sidecar.
    Inbound(InboundKey),
}

/// Builds a listener from its key.
pub fn build(key: &ListenerKey) -> Built<Listener> {
    match key {
        ListenerKey::Outbound(key) => key.build(),
        ListenerKey::VirtualOutbound(key) => key.build(),
        ListenerKey::Gateway(key) => key.build(),
        ListenerKey::Inbound(key) => key.build(),
    }
}
