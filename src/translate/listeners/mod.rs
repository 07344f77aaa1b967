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
use envoy::config::listener::v3::Listener;

use crate::class::SharedView;
use crate::output::Built;

/// The idle timeout that a proxy's metadata ask for; one that cannot be read counts as not given.
pub fn idle_timeout(view: &SharedView) -> Option<Duration> {
    view.idle_timeout.parse().ok()
}

/// All that a listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKey {}

/// Builds a listener from its key.
pub fn build(key: &ListenerKey) -> Built<Listener> {
    match *key {}
}
