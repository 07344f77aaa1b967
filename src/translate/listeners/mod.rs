//! Listeners: what a proxy accepts and which filters see it (LDS).
//!
//! Source: Istio `pilot/pkg/networking/core/listener*.go`; `shared/spec/xds.md` 4.

pub mod gateway;
pub mod inbound;
pub mod outbound;

use envoy::config::listener::v3::Listener;

use crate::output::Built;

/// All that a listener is built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKey {}

/// Builds a listener from its key.
pub fn build(key: &ListenerKey) -> Built<Listener> {
    match *key {}
}
