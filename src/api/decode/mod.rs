//! From a document (YAML or JSON, as a value) to a typed object, with errors and warnings that name the field.

mod any;
mod envelope;
mod proto_json;
mod read;
mod stand_in;

pub use any::{AnyObject, Decoded};
pub use envelope::{DecodeError, decode, items};
pub(crate) use proto_json::camel_case;
pub use read::FieldWarning;
pub(crate) use read::read_message;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
