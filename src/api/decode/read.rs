//! Reads one message from a value and collects the fields that it does not know.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proto_json::ProtoJson;

/// A field that is read over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FieldWarning {
    /// The field, such as `spec.http[0].timeOut`.
    pub path: String,
    /// Why it is read over.
    pub message: String,
}

impl FieldWarning {
    /// The warning of an unknown field.
    pub(crate) fn unknown(path: String) -> Self {
        Self { path, message: "unknown field, read over: check its spelling and place".to_owned() }
    }

    /// The same for a message that is a member of another.
    pub(crate) fn below(self, member: &str) -> Self {
        Self { path: joined(member, &self.path), ..self }
    }
}

impl fmt::Display for FieldWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A field with a wrong value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// The field, such as `http[0].timeout`; empty for the message as a whole.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// A message and the fields of the value that it does not know.
pub(crate) fn read_message<T: DeserializeOwned>(value: Value) -> Result<(T, Vec<FieldWarning>), FieldError> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(FieldWarning::unknown(dotted(&path)));
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(ProtoJson(value), &mut track);
    let result = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    match result {
        Ok(message) => Ok((message, unknown)),
        Err(error) => {
            let path = track.path();
            let path = if path.iter().len() == 0 { String::new() } else { path.to_string() };
            Err(FieldError { path, message: error.to_string() })
        }
    }
}

/// `a.b` and `a[0]`.
pub(crate) fn joined(parent: &str, child: &str) -> String {
    match (parent, child) {
        ("", child) => child.to_owned(),
        (parent, "") => parent.to_owned(),
        (parent, child) if child.starts_with('[') => format!("{parent}{child}"),
        (parent, child) => format!("{parent}.{child}"),
    }
}

/// A path in the form of `http[0].timeout`.
fn dotted(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => joined(&dotted(parent), &format!("[{index}]")),
        Path::Map { parent, key } => joined(&dotted(parent), key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            dotted(parent)
        }
    }
}
