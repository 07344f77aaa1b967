//! A document as the product reads it: the typed object, and what is wrong with it.

use std::hash::Hash;
use std::sync::Arc;

use api::decode::{AnyObject, DecodeError, Decoded};
use api::{Kind, ObjectKey, Severity};
use kube::{Resource, ResourceExt};
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3Default;

use super::document::Document;
use super::scope::resource;
use crate::report::{Place, Report};

/// One object, read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Which object.
    pub(crate) key: ObjectKey,
    /// What it says: of one that does not decode, its metadata at most.
    pub(crate) object: Option<Arc<AnyObject>>,
    /// What is wrong with it.
    pub(crate) reports: Vec<Arc<Report>>,
}

impl Reading {
    /// The hash of what the object says and of its conditions; none if it is left out. An object that says the same has
    /// the same, whatever its `resourceVersion`. Whoever writes conditions has to hear what became of them.
    pub(crate) fn digest(&self) -> Option<u128> {
        self.object.as_ref().map(|object| {
            let mut hasher = Xxh3Default::new();
            object.hash(&mut hasher);
            object.meta().conditions.hash(&mut hasher);
            hasher.digest128()
        })
    }
}

/// Reads a document of a kind that `cluster` sent.
pub(crate) fn read(kind: Kind, cluster: &Place, document: Document) -> Reading {
    let key = ObjectKey {
        kind,
        namespace: document.meta().namespace.as_deref().unwrap_or_default().into(),
        name: document.name_any().into(),
    };
    let place = cluster.clone();
    match decode(kind, document) {
        Ok(Decoded { object, warnings }) => {
            let told =
                |path: String, message: String| report(place.clone(), Severity::Warning, &key, path, message);
            let reports = warnings.into_iter().map(|warning| told(warning.path, warning.message)).collect();
            Reading { object: Some(Arc::new(object)), reports, key }
        }
        Err(error) => {
            let (field, message, meta) = match error {
                DecodeError::Field { path, message, meta, .. } => (path, message, meta),
                other => (String::new(), other.to_string(), None),
            };
            let message = format!("{message}; the object is left out");
            let reports = vec![report(place, Severity::Error, &key, field, message)];
            // Who is told of the object has to hear which form of it that is.
            let object = meta.map(|meta| Arc::new(AnyObject::NotServed(kind, *meta)));
            Reading { object, reports, key }
        }
    }
}

/// Items of lists do not say what they are.
fn decode(kind: Kind, document: Document) -> Result<Decoded, DecodeError> {
    let mut content = document.content;
    let resource = resource(kind);
    content.insert("apiVersion".to_owned(), Value::String(resource.api_version));
    content.insert("kind".to_owned(), Value::String(resource.kind));
    api::decode(Value::Object(content))
}

fn report(place: Place, severity: Severity, key: &ObjectKey, field: String, message: String) -> Arc<Report> {
    let object = Some(key.clone());
    Arc::new(Report { place, severity, object, field, message, hint: String::new(), last_good: Vec::new() })
}
