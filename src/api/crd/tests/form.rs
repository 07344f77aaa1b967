//! What Kubernetes demands of a definition's schema, and what users see of it.

use serde_json::Value;

use crate::crd::definition;
use crate::kind::Kind;

/// Calls `check` with every node of every schema and its path.
fn each_node(mut check: impl FnMut(&str, &Value)) {
    for kind in Kind::ALL {
        let Some(definition) = definition(*kind) else { continue };
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        for part in ["spec", "status"] {
            node(&format!("{kind}.{part}"), &schema["properties"][part], &mut check);
        }
    }
}

fn node(path: &str, schema: &Value, check: &mut impl FnMut(&str, &Value)) {
    check(path, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        node(&format!("{path}.{name}"), field, check);
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            node(&format!("{path}[]"), &schema[below], check);
        }
    }
}

#[test]
fn every_field_is_described() {
    each_node(|path, schema| {
        if !path.ends_with("[]") {
            let text = schema["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{path} has no description");
            assert!(!text.contains("[`"), "{path} is described with a link for Rust: {text}");
        }
    });
}

#[test]
fn every_node_has_one_type() {
    each_node(|path, schema| {
        let int_or_string = schema["x-kubernetes-int-or-string"] == true;
        assert!(schema["type"].is_string() != int_or_string, "{path}: {schema}");
    });
}

#[test]
fn nothing_stands_in_a_schema_that_kubernetes_does_not_take() {
    each_node(|path, schema| {
        for key in ["$ref", "$schema", "title", "const", "default", "patternProperties", "x-required"] {
            assert!(schema.get(key).is_none(), "{path} has {key}");
        }
    });
}

#[test]
fn every_rule_tells_what_is_wrong() {
    each_node(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(!rule["message"].as_str().unwrap().is_empty(), "{path}");
        }
    });
}
