//! Holds every field of every Istio kind against the schemas of `tests/istio-crds.yaml` (Istio's own file): a document
//! with all fields set must be read without a warning and be written again as it was.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::crd::tests::reference;
use crate::kind::Kind;

/// A kind's `apiVersion`, name and schema of `spec`, from its stored version.
struct Schema {
    api_version: String,
    kind: String,
    spec: Value,
}

fn schemas() -> Vec<Schema> {
    let mut schemas = Vec::new();
    for crd in reference::definitions() {
        let versions = crd.pointer("/spec/versions").unwrap().as_array().unwrap();
        let stored =
            versions.iter().find(|version| version.pointer("/storage") == Some(&json!(true))).unwrap();
        let word =
            |value: &Value, pointer: &str| value.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        schemas.push(Schema {
            api_version: format!("{}/{}", word(&crd, "/spec/group"), word(stored, "/name")),
            kind: word(&crd, "/spec/names/kind"),
            spec: stored.pointer("/schema/openAPIV3Schema/properties/spec").unwrap().clone(),
        });
    }
    schemas
}

/// A value with every field of a schema set, in its `turn`: enums take their values one by one, and of two names of a
/// field the odd turns take the field's own one.
fn sample(schema: &Value, turn: usize) -> Value {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.get(turn % values.len()).unwrap().clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => sample_object(schema, turn),
        Some("array") => json!([sample(schema.get("items").unwrap(), turn)]),
        Some("string") if schema.get("format") == Some(&json!("byte")) => json!("aGk="),
        // Durations are plain strings in the schemas, so every string is one.
        Some("string") => json!("1s"),
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        other => panic!("a schema of type {other:?}: {schema}"),
    }
}

fn sample_object(schema: &Value, turn: usize) -> Value {
    if let Some(entries) = schema.get("additionalProperties").filter(|entries| entries.is_object()) {
        // A key that is a number too, for the maps by port.
        return json!({"80": sample(entries, turn)});
    }
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return json!({"free": [null, 1.5]});
    };
    let other_name =
        |name: &str| fields.keys().find(|key| *key != name && camel_case(key) == camel_case(name)).is_some();
    let mut members = Map::new();
    for (name, field) in fields {
        let own_name = name.contains('_');
        if !other_name(name) || own_name == (turn % 2 == 1) {
            members.insert(name.clone(), sample(field, turn));
        }
    }
    Value::Object(members)
}

/// The same with all fields by their JSON names.
fn by_json_names(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (camel_case(&key), by_json_names(value))).collect()
        }
        Value::Array(elements) => elements.into_iter().map(by_json_names).collect(),
        other => other,
    }
}

/// The specification of an object as it is written.
fn written(object: &AnyObject) -> Value {
    let tagged = serde_json::to_value(object).unwrap();
    let mut spec = tagged.as_object().unwrap().values().next().unwrap().get("spec").unwrap().clone();
    spec.as_object_mut().unwrap().remove("status");
    spec
}

#[test]
fn every_field_of_every_istio_kind_is_read_and_kept() {
    let mut seen = BTreeSet::new();
    for Schema { api_version, kind, spec } in schemas() {
        seen.insert(Kind::of(&api_version, &kind).unwrap());
        for turn in 0..12 {
            let spec = sample(&spec, turn);
            let document = json!({
                "apiVersion": api_version, "kind": kind, "metadata": {"name": "all"}, "spec": spec,
            });
            let decoded = decode(document).unwrap();
            assert_eq!(decoded.warnings, [], "{kind}");
            assert_eq!(written(&decoded.object), by_json_names(spec), "{kind}");
        }
    }
    let ours: BTreeSet<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.group().ends_with(".istio.io")).collect();
    assert_eq!(seen, ours);
}
