//! Where in a case guarded schemas are filled in: specifications of objects, texts in the mesh's ConfigMap, nodes of proxies.

use api::{Kind, fields};
use serde_json::{Map, Value, json};

use crate::conformance::Case;

/// Something with a schema.
#[derive(Clone, Debug)]
pub struct Subject {
    /// A kind's name, `MeshConfig` or `MeshNetworks`.
    pub name: &'static str,
    pub(super) schema: Value,
}

impl Subject {
    /// A kind of object.
    ///
    /// # Errors
    /// The kind has no schema.
    pub fn kind(kind: Kind) -> anyhow::Result<Self> {
        let schema = fields::of(kind).ok_or_else(|| anyhow::anyhow!("{} has no schema", kind.name()))?;
        Ok(Self { name: kind.name(), schema })
    }

    /// The mesh's configuration.
    pub fn mesh_config() -> Self {
        Self { name: "MeshConfig", schema: fields::mesh_config() }
    }

    /// The mesh's networks.
    pub fn mesh_networks() -> Self {
        Self { name: "MeshNetworks", schema: fields::mesh_networks() }
    }
}

/// A place of a case that a schema is about.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The subject's name.
    pub(super) subject: &'static str,
    /// What stands there.
    pub(super) content: Value,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// The `spec`, with the `status`, of a document.
    Object { document: usize },
    /// A text of the mesh's ConfigMap.
    Text { document: usize, key: &'static str },
    /// The configuration that a proxy brings along.
    Node { proxy: usize },
    /// A document as a whole.
    Whole { document: usize },
    /// A proxy as a whole.
    Proxy { proxy: usize },
}

/// A case with something else in one place.
pub(super) enum Altered {
    /// Another document.
    Document(Value),
    /// Another proxy, by its number.
    Proxy(usize, Value),
}

/// The places of a case.
pub(super) fn places(case: &Case) -> Vec<Place> {
    let mut places = Vec::new();
    for (document, value) in case.documents().iter().enumerate() {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        match Kind::of(version, kind) {
            Some(Kind::ConfigMap) => {
                for (subject, key) in [("MeshConfig", "mesh"), ("MeshNetworks", "meshNetworks")] {
                    let text = value.pointer(&format!("/data/{key}")).and_then(Value::as_str);
                    let content = text.and_then(|text| serde_saphyr::from_str(text).ok());
                    places.extend(content.map(|content| Place {
                        subject,
                        content,
                        at: At::Text { document, key },
                    }));
                }
            }
            Some(kind) => {
                let mut content = value.get("spec").cloned().unwrap_or_else(|| json!({}));
                if let (Some(members), Some(status)) = (content.as_object_mut(), value.get("status")) {
                    members.insert("status".to_owned(), status.clone());
                }
                places.push(Place { subject: kind.name(), content, at: At::Object { document } });
            }
            None => {}
        }
    }
    for (proxy, value) in case.proxies().iter().enumerate() {
        let config = value.pointer("/nodeMetadata/PROXY_CONFIG").filter(|config| config.is_object());
        places.extend(config.map(|config| Place {
            subject: "MeshConfig",
            content: json!({"defaultConfig": config}),
            at: At::Node { proxy },
        }));
    }
    places
}

impl Place {
    /// A document as a whole.
    pub(super) fn of_document(subject: &'static str, document: usize, content: Value) -> Self {
        Self { subject, content, at: At::Whole { document } }
    }

    /// A proxy as a whole.
    pub(super) fn of_proxy(subject: &'static str, proxy: usize, content: Value) -> Self {
        Self { subject, content, at: At::Proxy { proxy } }
    }

    /// The case's part with other content in this place.
    pub(super) fn with(&self, case: &Case, mut content: Value) -> Option<Altered> {
        match self.at {
            At::Whole { .. } => Some(Altered::Document(content)),
            At::Proxy { proxy } => Some(Altered::Proxy(proxy, content)),
            At::Object { document } => {
                let mut value = case.documents().get(document)?.clone();
                let members = value.as_object_mut()?;
                match content.as_object_mut().and_then(|content| content.remove("status")) {
                    Some(status) => members.insert("status".to_owned(), status),
                    None => members.remove("status"),
                };
                members.insert("spec".to_owned(), content);
                Some(Altered::Document(value))
            }
            At::Text { document, key } => {
                let mut value = case.documents().get(document)?.clone();
                let data = value.get_mut("data")?.as_object_mut()?;
                data.insert(key.to_owned(), Value::String(content.to_string()));
                Some(Altered::Document(value))
            }
            At::Node { proxy } => {
                let mut value = case.proxies().get(proxy)?.clone();
                let config = content.get("defaultConfig").cloned();
                let config = config.unwrap_or_else(|| Value::Object(Map::new()));
                value.get_mut("nodeMetadata")?.as_object_mut()?.insert("PROXY_CONFIG".to_owned(), config);
                Some(Altered::Proxy(proxy, value))
            }
        }
    }

    /// The document as it is, if the place is in one.
    pub(super) fn document<'c>(&self, case: &'c Case) -> Option<&'c Value> {
        match self.at {
            At::Object { document } | At::Text { document, .. } | At::Whole { document } => {
                case.documents().get(document)
            }
            At::Node { .. } | At::Proxy { .. } => None,
        }
    }
}
