//! Envoy's wire types, generated from the pinned descriptor set `proto/envoy.bin`, and helpers to fill them.
//!
//! The tree follows the packages: `envoy.config.cluster.v3.Cluster` is `envoy::config::cluster::v3::Cluster`,
//! `google.protobuf.Any` is `envoy::google::protobuf::Any`. Maps are ordered, so equal messages have equal
//! bytes; `Any.value` is shared [`bytes::Bytes`]. Every message implements [`prost::Name`].

mod any;
mod wkt;

pub use any::{AnyError, TYPE_URL_PREFIX, pack_any, type_name, type_url, unpack_any};
pub use generated::envoy::{admin, annotations, config, data, extensions, service, r#type, watchdog};
pub use generated::{cel, google, io, istio, opentelemetry, ratelimit, udpa, validate, xds};
pub use prost::{self, Message, Name};

/// All message types of this crate as an encoded `google.protobuf.FileDescriptorSet`, for reflection.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[allow(
    missing_docs,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    elided_lifetimes_in_paths,
    rustdoc::all,
    clippy::all,
    clippy::disallowed_methods,
    clippy::manual_let_else,
    clippy::or_fun_call,
    clippy::use_self,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/tree.rs"));
}

#[cfg(test)]
mod tests;
