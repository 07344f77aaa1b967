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
    /// What it says: of one that does not decode, what stands in for it.
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
            // Who is told of the object has to hear which form of it that is, so that metadata may stand in alone.
            let (field, message, object) = match error {
                DecodeError::Field { path, message, stand_in, .. } => (path, message, stand_in),
                other => (String::new(), other.to_string(), None),
            };
            let object = object.map(|object| Arc::new(*object));
            let consequence = object.as_ref().and_then(|object| object.consequence());
            let message = format!("{message}; {}", consequence.unwrap_or("the object is left out"));
            let reports = vec![report(place, Severity::Error, &key, field, message)];
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn reading(kind: Kind, spec: &Value) -> Reading {
        let document = json!({"metadata": {"name": "p", "namespace": "shop", "generation": 2}, "spec": spec});
        let place = Place::file(&Arc::from(Path::new("cluster home")));
        read(kind, &place, serde_json::from_value(document).expect("a document"))
    }

    /// A policy that cannot be read must not vanish: what its author wanted kept out would get in.
    #[test]
    fn policies_that_cannot_be_read_deny() {
        let consequences = [
            (Kind::AuthorizationPolicy, "all that reaches the workloads that it is for is denied"),
            (Kind::RequestAuthentication, "all HTTP requests to the workloads that it is for are refused"),
            (Kind::PeerAuthentication, "the workloads that it is for take mutual TLS only"),
        ];
        for (kind, consequence) in consequences {
            let spec = json!({"rules": "all", "jwtRules": 1, "mtls": {"mode": "LOOSE"}});
            let Reading { key, object, reports } = reading(kind, &spec);
            let object = object.expect("something in its place");
            assert_eq!(object.consequence(), Some(consequence));
            assert_eq!((object.key(), object.meta().generation), (key.clone(), 2));
            let [report] = reports.as_slice() else { panic!("{reports:?}") };
            assert_eq!((report.severity, report.object.as_ref()), (Severity::Error, Some(&key)));
            assert!(report.field.starts_with("spec.") && report.message.ends_with(consequence), "{report}");
        }
    }

    #[test]
    fn of_others_the_metadata_is_left() {
        let Reading { object, reports, .. } = reading(Kind::VirtualService, &json!({"http": 1}));
        assert!(matches!(object.as_deref(), Some(AnyObject::NotServed(..))));
        assert!(reports.iter().all(|report| report.message.ends_with("the object is left out")));
    }
}
