//! What every object has: metadata, a key, a reference with a generation; and the problems told to its owner.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;

use crate::condition::Condition;
use crate::kind::Kind;

/// An object's metadata, as far as a control plane reads it.
///
/// Equality and hash leave `resource_version` and `conditions` out: they move with every write of a status, and an object
/// that says the same must compare equal.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The name within kind and namespace.
    pub name: Arc<str>,
    /// Labels, by which selectors select.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// When the object was created, in seconds since 1970-01-01T00:00:00Z; none for a file that does not say.
    pub creation: Option<i64>,
    /// Counts changes of the specification; 0 when the source does not count.
    pub generation: i64,
    /// The object's identity over its life; empty when the source gives none.
    pub uid: String,
    /// Whether the object is being deleted (`deletionTimestamp` is set).
    pub deletion: bool,
    /// The API server's opaque version; empty from files.
    pub resource_version: String,
    /// The owner that controls the object, if any.
    pub controller: Option<Owner>,
    /// Whether the API server made the name (`generateName`).
    pub generated: bool,
    /// What controllers have told about the object; of Istio's kinds only.
    pub conditions: Box<[Condition]>,
}

/// The controlling entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// API version of the owner.
    pub api_version: String,
    /// Kind of the owner, such as `ReplicaSet`.
    pub kind: String,
    /// Name of the owner, in the object's own namespace.
    pub name: String,
}

/// What of [`Meta`] makes two objects equal.
type Content<'a> = (
    (&'a str, &'a str),
    (&'a BTreeMap<String, String>, &'a BTreeMap<String, String>),
    (Option<i64>, i64, &'a str, bool, bool),
    Option<&'a Owner>,
);

impl Meta {
    fn content(&self) -> Content<'_> {
        (
            (&self.namespace, &self.name),
            (&self.labels, &self.annotations),
            (self.creation, self.generation, &self.uid, self.deletion, self.generated),
            self.controller.as_ref(),
        )
    }
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}

impl Eq for Meta {}

impl Hash for Meta {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.content().hash(state);
    }
}

/// An object: its metadata and what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Object<S> {
    /// Who the object is.
    pub meta: Meta,
    /// What it says. For kinds without a `spec` (EndpointSlice, Secret, ...) the fields beside the metadata.
    pub spec: S,
}

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of an object of a kind with this metadata.
    pub fn of(kind: Kind, meta: &Meta) -> Self {
        Self { kind, namespace: meta.namespace.clone(), name: meta.name.clone() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// A certain state of an object, as a source of something that is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectRef {
    /// Which object.
    pub key: ObjectKey,
    /// Which generation of it.
    pub generation: i64,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// Part of the object is not in effect as written.
    Error,
    /// All is in effect, but perhaps not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something wrong with an object, for its owner to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The object that is at fault.
    pub object: ObjectKey,
    /// The field at fault, such as `spec.http[0].route[1].destination.subset`; empty for the object as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.object)?;
        if !self.field.is_empty() {
            write!(f, " {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, namespace: &str) -> ObjectKey {
        ObjectKey { kind, namespace: namespace.into(), name: "a".into() }
    }

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let problem = Problem {
            severity: Severity::Error,
            object: key(Kind::VirtualService, "shop"),
            field: "spec.http[0].route[1].destination.subset".to_owned(),
            message: "no subset v9".to_owned(),
            hint: "add it to the DestinationRule".to_owned(),
        };
        assert_eq!(
            problem.to_string(),
            "error: VirtualService/shop/a spec.http[0].route[1].destination.subset: no subset v9 (add it to the DestinationRule)"
        );
    }

    #[test]
    fn cluster_scoped_keys_show_no_namespace() {
        assert_eq!(key(Kind::Node, "").to_string(), "Node/a");
    }

    #[test]
    fn a_new_resource_version_alone_is_no_difference() {
        let old = Meta { resource_version: "1".to_owned(), ..Meta::default() };
        let new = Meta { resource_version: "2".to_owned(), ..Meta::default() };
        assert_eq!(old, new);
        assert_eq!(old, Meta { conditions: Box::new([Condition::default()]), ..Meta::default() });
        assert_ne!(old, Meta { generation: 1, ..Meta::default() });
    }
}
