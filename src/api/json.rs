//! The door between Envoy's messages and their JSON: canonical proto3 JSON, as Go's protojson prints it.
//!
//! Printing never fails on a message of a known type: an `Any` whose type is unknown, or whose bytes are
//! malformed, comes out as `{"@type": URL, "value": BASE64}`. Parsing writes the wire form directly, fields by
//! number and map entries by key, so equal JSON gives equal bytes. Errors carry the path of what is wrong.
//!
//! Spec: <https://protobuf.dev/programming-guides/json/>.

mod number;
mod parse;
mod print;
mod scalar;
#[cfg(test)]
mod tests;
mod wire;
mod wkt;

use std::sync::LazyLock;

use envoy::google::protobuf::Any;
use envoy::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

pub use wkt::{struct_json, to_struct, to_value};

/// How deep messages may lie in one another: prost's decoder has the same limit.
const MAX_DEPTH: usize = 100;

/// Why JSON could not be read as a message, or a message not be printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No message of that name is known to the pool.
    #[error("{path}: unknown message type {name:?}")]
    UnknownType {
        /// Where the name stands, such as `filters[0].typedConfig`; the message's name at the top.
        path: String,
        /// Full name as given.
        name: String,
    },
    /// The bytes are not an encoded message of the type.
    #[error("malformed message {name}: {source}")]
    Malformed {
        /// Full name of the message.
        name: String,
        /// What the decoder said.
        source: envoy::prost::DecodeError,
    },
    /// A field does not fit its type.
    #[error("{path}: {reason}")]
    Field {
        /// Where, such as `envoy.config.listener.v3.Listener.filterChains[0].name`.
        path: String,
        /// What is wrong and what is wanted.
        reason: String,
    },
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The set is a constant of the build and a test loads it; without it every type would be unknown.
    DescriptorPool::decode(envoy::DESCRIPTORS).unwrap_or_default()
});

/// Descriptors of every message that crate `envoy` has; loaded at the first call, in some 20 ms.
#[must_use]
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// Whether a message of this full name (not type URL) can be printed and parsed.
#[must_use]
pub fn is_known(full_name: &str) -> bool {
    POOL.get_message_by_name(full_name).is_some()
}

/// The JSON of a message.
///
/// Names are lowerCamelCase, 64-bit integers strings, absent fields left out, set but empty messages `{}`.
#[must_use]
pub fn to_json<M: Message + Name>(message: &M) -> Value {
    // Fails for a message that is not of crate envoy only; then its type and bytes are still shown.
    to_json_bytes(&M::full_name(), &message.encode_to_vec())
        .unwrap_or_else(|_| any_to_json(&envoy::pack_any(message)))
}

/// The JSON of an encoded message, given its full name (`envoy.config.cluster.v3.Cluster`).
///
/// # Errors
/// [`JsonError::UnknownType`], or [`JsonError::Malformed`] if the message itself does not decode; an `Any` in it
/// that does not is printed as base64.
pub fn to_json_bytes(full_name: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    let message = decode(full_name, bytes)?;
    Ok(print::message(&message, 0))
}

/// The JSON of what an `Any` holds, with its `@type`; unknown or malformed content as base64.
#[must_use]
pub fn any_to_json(any: &Any) -> Value {
    print::any(&any.type_url, &any.value, 0)
}

/// Reads JSON as a message of the given full name and answers its wire form.
///
/// Both lowerCamelCase and original field names are taken. With `lenient`, unknown fields and unknown names of enum
/// values are passed over, as Istio does for EnvoyFilter patches; unknown types in an `Any` never are.
///
/// # Errors
/// The first thing wrong, with its path.
pub fn from_json(full_name: &str, json: &Value, lenient: bool) -> Result<Vec<u8>, JsonError> {
    parse::message(&descriptor(full_name)?, json, lenient)
}

/// As [`from_json`], into a generated type.
///
/// # Errors
/// As [`from_json`].
pub fn from_json_as<M: Message + Name + Default>(json: &Value, lenient: bool) -> Result<M, JsonError> {
    let bytes = from_json(&M::full_name(), json, lenient)?;
    M::decode(bytes.as_slice()).map_err(|source| JsonError::Malformed { name: M::full_name(), source })
}

fn descriptor(full_name: &str) -> Result<MessageDescriptor, JsonError> {
    POOL.get_message_by_name(full_name)
        .ok_or_else(|| JsonError::UnknownType { path: full_name.to_owned(), name: full_name.to_owned() })
}

fn decode(full_name: &str, bytes: &[u8]) -> Result<DynamicMessage, JsonError> {
    DynamicMessage::decode(descriptor(full_name)?, bytes)
        .map_err(|source| JsonError::Malformed { name: full_name.to_owned(), source })
}
