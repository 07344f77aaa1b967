//! Packing messages into `google.protobuf.Any` and out of it.

use bytes::Bytes;
use prost::{Message, Name};

use crate::google::protobuf::Any;

/// What every type URL that Envoy reads starts with.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// Why an [`Any`] could not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyError {
    /// It holds another type than the one asked for.
    Type {
        /// Full name asked for.
        wanted: String,
        /// The type URL that it has.
        found: String,
    },
    /// Its bytes are not an encoded message of its type.
    Decode {
        /// Full name of the message.
        name: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },
}

impl std::fmt::Display for AnyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type { wanted, found } => write!(f, "wanted a message {wanted}, found type URL {found:?}"),
            Self::Decode { name, .. } => write!(f, "malformed message {name}"),
        }
    }
}

impl std::error::Error for AnyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Type { .. } => None,
            Self::Decode { source, .. } => Some(source),
        }
    }
}

/// The type URL of `M`, such as `type.googleapis.com/envoy.config.cluster.v3.Cluster`.
#[must_use]
pub fn type_url<M: Name>() -> String {
    format!("{TYPE_URL_PREFIX}{}", M::full_name())
}

/// The full message name in a type URL: what follows its last slash.
#[must_use]
pub fn type_name(type_url: &str) -> &str {
    type_url.rsplit_once('/').map_or(type_url, |(_, name)| name)
}

/// Packs a message with its type URL. Equal messages give equal bytes.
#[must_use]
pub fn pack_any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: type_url::<M>(), value: Bytes::from(message.encode_to_vec()) }
}

/// Unpacks a message of type `M`; only the name after the URL's last slash is looked at.
///
/// # Errors
/// Another type inside, or bytes that do not decode.
pub fn unpack_any<M: Message + Name + Default>(any: &Any) -> Result<M, AnyError> {
    if type_name(&any.type_url) != M::full_name() {
        return Err(AnyError::Type { wanted: M::full_name(), found: any.type_url.clone() });
    }
    M::decode(any.value.clone()).map_err(|source| AnyError::Decode { name: M::full_name(), source })
}
