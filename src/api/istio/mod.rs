//! Istio's kinds: networking, security, telemetry and extensions, as `kubectl get -o yaml` prints their `spec`.
//!
//! Field names are Istio's. A scalar without presence has its proto default when absent; a field whose absence means
//! something else than its default is an `Option`, and so is every member of a `oneof`.
//!
//! The types are also the source of the CustomResourceDefinitions ([`crate::crd`]): what an object must hold beyond its
//! fields' types stands in `#[schemars(...)]` attributes, and doc comments are what `kubectl explain` shows, so that they
//! name fields and values as JSON does.

mod authorization_policy;
mod connection_pool;
mod destination_rule;
mod envoy_filter;
mod gateway;
mod http_actions;
mod http_route;
mod load_balancer;
mod outlier_detection;
mod peer_authentication;
mod proxy_config;
mod request_authentication;
mod selector;
mod service_entry;
mod sidecar;
mod telemetry;
mod tls;
mod traffic_extension;
mod traffic_policy;
mod virtual_service;
mod wasm_plugin;
mod workload;

pub use authorization_policy::*;
pub use connection_pool::*;
pub use destination_rule::*;
pub use envoy_filter::*;
pub use gateway::*;
pub use http_actions::*;
pub use http_route::*;
pub use load_balancer::*;
pub use outlier_detection::*;
pub use peer_authentication::*;
pub use proxy_config::*;
pub use request_authentication::*;
pub use selector::*;
pub use service_entry::*;
pub use sidecar::*;
pub use telemetry::*;
pub use tls::*;
pub use traffic_extension::*;
pub use traffic_policy::*;
pub use virtual_service::*;
pub use wasm_plugin::*;
pub use workload::*;
