//! An object as the API server sends it, without what nobody reads: it is left out while the text is read.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The annotation in which kubectl keeps the object a second time.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Any object, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its name, namespace and version.
    meta: ObjectMeta,
    /// The whole of it.
    pub(crate) content: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let content = deserializer.deserialize_map(Without { left_out: &[], nested: Some(METADATA) })?;
        let metadata = content.get("metadata");
        let text = |field: &str| Some(metadata?.get(field)?.as_str()?.to_owned());
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { meta, content })
    }
}

impl Resource for Document {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// A member that is read in the same way, with members of its own left out.
#[derive(Clone, Copy)]
struct Nested {
    member: &'static str,
    left_out: &'static [&'static str],
    nested: Option<&'static Self>,
}

const METADATA: &Nested =
    &Nested { member: "metadata", left_out: &["managedFields", "selfLink"], nested: Some(ANNOTATIONS) };
const ANNOTATIONS: &Nested = &Nested { member: "annotations", left_out: &[LAST_APPLIED], nested: None };

/// Reads a mapping without some of its members.
#[derive(Clone, Copy)]
struct Without {
    left_out: &'static [&'static str],
    nested: Option<&'static Nested>,
}

impl<'de> Visitor<'de> for Without {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(Map::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if self.left_out.contains(&name.as_str()) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match self.nested.filter(|nested| nested.member == name) {
                Some(nested) => {
                    members.next_value_seed(Self { left_out: nested.left_out, nested: nested.nested })?
                }
                None => members.next_value::<Value>()?,
            };
            kept.insert(name, value);
        }
        Ok(kept)
    }
}

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_no_members() {
        let text = json!({"metadata": {"name": "web", "annotations": null}});
        let document: Document = serde_json::from_value(text).expect("a document");
        assert_eq!(Value::Object(document.content), json!({"metadata": {"name": "web", "annotations": {}}}));
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        let document: Document = serde_json::from_value(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "resourceVersion": "7",
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {(LAST_APPLIED): "{}", "a": "b"},
            },
            "spec": {"managedFields": 1},
        }))
        .expect("a document");
        assert_eq!(document.name_any(), "web");
        assert_eq!(
            (document.namespace().as_deref(), document.resource_version().as_deref()),
            (Some("shop"), Some("7"))
        );
        let expected = json!({
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7", "annotations": {"a": "b"}},
            "spec": {"managedFields": 1},
        });
        assert_eq!(Value::Object(document.content), expected);
    }
}
