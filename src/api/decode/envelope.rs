//! What all documents have in common: `apiVersion`, `kind`, `metadata`; lists; and the errors that name the object.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::any::{AnyObject, Decoded};
use super::read::{FieldError, FieldWarning, joined, read_message};
use super::stand_in::{self, stand_in};
use crate::condition::Condition;
use crate::kind::Kind;
use crate::object::{Meta, Owner};

/// Why a document is no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a mapping.
    #[error("a document must be a mapping with apiVersion, kind and metadata")]
    NotAnObject,
    /// A kind that the product does not know, or not in this version.
    #[error("unknown kind {kind:?} of apiVersion {api_version:?}: check the spelling of both")]
    UnknownKind {
        /// The document's `apiVersion`; empty when absent.
        api_version: String,
        /// The document's `kind`; empty when absent.
        kind: String,
        /// The document's `metadata.name`; empty when absent.
        name: String,
    },
    /// No `metadata.name`.
    #[error("{kind} in namespace {namespace:?}: metadata.name is missing: every object needs a name")]
    MissingName {
        /// The document's kind.
        kind: Kind,
        /// The document's `metadata.namespace`; empty when absent.
        namespace: String,
    },
    /// A field has a wrong value.
    #[error("{kind}/{object}: {path}: {message}")]
    Field {
        /// The document's kind.
        kind: Kind,
        /// `namespace/name`, or `name` for cluster-scoped kinds.
        object: String,
        /// The field, such as `spec.http[0].timeout`.
        path: String,
        /// What is wrong with it.
        message: String,
        /// What stands in for the object; none if not even its name is known, or nothing but its metadata would.
        stand_in: Option<Box<AnyObject>>,
    },
}

/// The typed object of a document.
///
/// An absent namespace of a namespaced kind means `default`; a namespace of a cluster-scoped kind is dropped with a
/// warning. Unknown fields of Istio's kinds are warnings; those of Kubernetes' kinds are not told, because only some of
/// their fields are read.
pub fn decode(document: Value) -> Result<Decoded, DecodeError> {
    let Value::Object(mut document) = document else {
        return Err(DecodeError::NotAnObject);
    };
    let kind = kind_of(&document)?;
    document.remove("apiVersion");
    document.remove("kind");
    let spec = stand_in::denies(kind).then(|| document.get("spec").map_or_else(|| json!({}), Value::clone));
    let read = metadata(kind, document.remove("metadata").unwrap_or(Value::Null));
    let (mut meta, mut warnings) = read.map_err(|error| error.kept(kind, spec.as_ref()))?;
    if kind.group().ends_with(".istio.io") {
        meta.conditions = document.get("status").map(Condition::of_status).unwrap_or_default();
    }
    let (mut object, unknown) = AnyObject::read(kind, meta, document)
        .map_err(|(meta, error)| field_error(kind, *meta, error, spec.as_ref()))?;
    if let AnyObject::Secret(secret) = &mut object {
        Arc::make_mut(secret).spec.absorb_string_data();
    }
    warnings.extend(unknown);
    Ok(Decoded { object, warnings })
}

/// The error of a field. What serde says repeats the value, which of a Secret must not be told.
fn field_error(kind: Kind, meta: Meta, error: FieldError, spec: Option<&Value>) -> DecodeError {
    let message = match kind {
        Kind::Secret => "must be a text, in base64 within data".to_owned(),
        _ => error.message,
    };
    let object = displayed(&meta.namespace, &meta.name);
    let stand_in = Some(Box::new(stand_in(kind, meta, spec)));
    DecodeError::Field { kind, object, path: error.path, message, stand_in }
}

impl DecodeError {
    /// The same for an error in the metadata of a policy, which must not vanish by it: its name is enough.
    fn kept(mut self, kind: Kind, spec: Option<&Value>) -> Self {
        if let Self::Field { object, stand_in: kept @ None, .. } = &mut self
            && stand_in::denies(kind)
        {
            let (given, name) = object.split_once('/').unwrap_or(("", object));
            let (namespace, _) = namespace_of(kind, given.to_owned());
            let meta = Meta { namespace, name: name.into(), ..Meta::default() };
            *kept = (!name.is_empty()).then(|| Box::new(stand_in(kind, meta, spec)));
        }
        self
    }
}

/// The documents of a `List` (`kubectl get -o yaml` of several objects), or the document itself. Lists in lists are
/// not opened. An empty document (null) has none.
pub fn items(document: Value) -> Vec<Value> {
    match document {
        Value::Null => Vec::new(),
        Value::Object(mut list) if is_list(&list) => match list.remove("items") {
            Some(Value::Array(documents)) => documents,
            _ => Vec::new(),
        },
        other => vec![other],
    }
}

/// Whether a document is a list: of kind `List`, or of a kind such as `ServiceList` with items.
fn is_list(document: &Map<String, Value>) -> bool {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind == "List" || (kind.ends_with("List") && document.get("items").is_some_and(Value::is_array))
}

fn text(document: &Map<String, Value>, field: &str) -> String {
    document.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn kind_of(document: &Map<String, Value>) -> Result<Kind, DecodeError> {
    let (api_version, kind) = (text(document, "apiVersion"), text(document, "kind"));
    Kind::of(&api_version, &kind).ok_or_else(|| {
        let name = document.get("metadata").and_then(Value::as_object).map(|meta| text(meta, "name"));
        DecodeError::UnknownKind { api_version, kind, name: name.unwrap_or_default() }
    })
}

fn displayed(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// `metadata` as it stands in a document.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    creation_timestamp: String,
    generation: i64,
    uid: String,
    deletion_timestamp: String,
    resource_version: String,
    owner_references: Vec<RawOwner>,
    generate_name: String,
}

/// An entry of `metadata.ownerReferences`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawOwner {
    api_version: String,
    kind: String,
    name: String,
    controller: bool,
}

fn metadata(kind: Kind, value: Value) -> Result<(Meta, Vec<FieldWarning>), DecodeError> {
    let value = if value.is_null() { Value::Object(Map::new()) } else { value };
    let of_object = value
        .as_object()
        .map_or_else(String::new, |meta| displayed(&text(meta, "namespace"), &text(meta, "name")));
    let wrong = |path: &str, message: String| DecodeError::Field {
        kind,
        object: of_object.clone(),
        path: joined("metadata", path),
        message,
        stand_in: None,
    };
    let (raw, _) = read_message::<RawMeta>(value).map_err(|error| wrong(&error.path, error.message))?;
    if raw.name.is_empty() {
        return Err(DecodeError::MissingName { kind, namespace: raw.namespace });
    }
    let creation = match raw.creation_timestamp.as_str() {
        "" => None,
        time => Some(
            time.parse::<Timestamp>()
                .map_err(|error| wrong("creationTimestamp", error.to_string()))?
                .as_second(),
        ),
    };
    let (namespace, warnings) = namespace_of(kind, raw.namespace);
    let controller = raw.owner_references.into_iter().find(|owner| owner.controller);
    let meta = Meta {
        namespace,
        name: raw.name.into(),
        labels: raw.labels,
        annotations: raw.annotations,
        creation,
        generation: raw.generation,
        uid: raw.uid,
        deletion: !raw.deletion_timestamp.is_empty(),
        resource_version: raw.resource_version,
        controller: controller.map(|owner| Owner {
            api_version: owner.api_version,
            kind: owner.kind,
            name: owner.name,
        }),
        generated: !raw.generate_name.is_empty(),
        conditions: Box::default(),
    };
    Ok((meta, warnings))
}

/// The namespace that counts, and a warning when the given one does not.
fn namespace_of(kind: Kind, given: String) -> (Arc<str>, Vec<FieldWarning>) {
    match (kind.namespaced(), given.as_str()) {
        (true, "") => ("default".into(), Vec::new()),
        (true, given) => (given.into(), Vec::new()),
        (false, "") => ("".into(), Vec::new()),
        (false, _) => {
            let message = format!("{kind} objects have no namespace: remove it");
            ("".into(), vec![FieldWarning { path: "metadata.namespace".to_owned(), message }])
        }
    }
}
