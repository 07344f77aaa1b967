//! Field by field against `tests/istio-crds.yaml`, Istio's own definitions. Only descriptions and messages differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::crd::definition;
use crate::kind::Kind;

/// Rules that are spelt otherwise here: the reference's, ours, and why they are equal.
const EQUAL: &[(&str, &str, &str)] = &[
    (
        "(has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1",
        "(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1",
        "the reference states the rule twice, once with the terms turned round",
    ),
    (
        r#"isURL(self) ? (url(self).getScheme() in ["", "http", "https", "file", "oci"]) : (isURL("http://" + self) && url("http://" + self).getScheme() in ["", "http", "https", "file", "oci"])"#,
        r#"isURL(self) ? (url(self).getScheme() in ["", "http", "https", "oci", "file"]) : (isURL("http://" + self) && url("http://" + self).getScheme() in ["", "http", "https", "oci", "file"])"#,
        "the schemes of WasmPlugin's rule in the order that TrafficExtension's rule has them",
    ),
];

/// The reference's definitions, in the order of the file.
pub(crate) fn definitions() -> Vec<Value> {
    include_str!("../../tests/istio-crds.yaml")
        .split("\n---\n")
        .filter(|document| document.contains("kind: CustomResourceDefinition"))
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

/// The kind that a definition is of, by one of its versions.
fn kind_of(definition: &Value) -> Kind {
    let word = |pointer: &str| definition.pointer(pointer).unwrap().as_str().unwrap();
    let api_version = format!("{}/{}", word("/spec/group"), word("/spec/versions/0/name"));
    Kind::of(&api_version, word("/spec/names/kind")).unwrap()
}

/// All that a definition says but for descriptions, by where it says it.
fn statements(definition: &Value) -> BTreeMap<String, Value> {
    let mut rest = definition.clone();
    let versions = rest.pointer_mut("/spec/versions").unwrap().take();
    let mut found = BTreeMap::from([("definition".to_owned(), rest)]);
    for mut version in versions.as_array().unwrap().clone() {
        let name = version["name"].as_str().unwrap().to_owned();
        let schema = version["schema"].take();
        for column in version["additionalPrinterColumns"].as_array_mut().into_iter().flatten() {
            column.as_object_mut().unwrap().remove("description");
        }
        add_node(&name, &schema["openAPIV3Schema"], &mut found);
        found.insert(format!("{name}: version"), version);
    }
    found
}

/// Adds what one node of a schema says of itself, and all nodes below it.
fn add_node(path: &str, node: &Value, found: &mut BTreeMap<String, Value>) {
    let mut own = Map::new();
    for (key, value) in node.as_object().unwrap() {
        match (key.as_str(), value) {
            ("description", _) => {}
            ("properties", Value::Object(fields)) => {
                for (name, field) in fields {
                    add_node(&format!("{path}.{name}"), field, found);
                }
            }
            ("items", _) => add_node(&format!("{path}[]"), value, found),
            ("additionalProperties", Value::Object(_)) => add_node(&format!("{path}{{}}"), value, found),
            ("required" | "enum", Value::Array(words)) => {
                own.insert(
                    key.clone(),
                    words
                        .iter()
                        .map(|word| word.as_str().unwrap())
                        .collect::<BTreeSet<_>>()
                        .into_iter()
                        .collect(),
                );
            }
            ("x-kubernetes-validations", Value::Array(rules)) => {
                own.insert(
                    key.clone(),
                    rules.iter().map(rule).collect::<BTreeSet<_>>().into_iter().collect(),
                );
            }
            _ => {
                own.insert(key.clone(), value.clone());
            }
        }
    }
    found.insert(path.to_owned(), own.into());
}

/// A rule's expression, with the white space of one line, as it is spelt here.
fn rule(rule: &Value) -> String {
    let text = rule["rule"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    EQUAL.iter().find(|(theirs, ..)| *theirs == text).map_or(text, |(_, ours, _)| (*ours).to_owned())
}

#[test]
fn every_statement_of_the_reference_is_here_and_no_other() {
    let mut wrong = Vec::new();
    for reference in definitions() {
        let kind = kind_of(&reference);
        let (theirs, ours) = (statements(&reference), statements(&definition(kind).unwrap()));
        let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for path in paths {
            if theirs.get(path) != ours.get(path) {
                let show = |side: Option<&Value>| side.map_or_else(|| "nothing".to_owned(), Value::to_string);
                wrong.push(format!(
                    "{kind} {path}:\n  theirs {}\n  ours   {}",
                    show(theirs.get(path)),
                    show(ours.get(path))
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn istios_kinds_have_definitions_and_others_none() {
    let theirs: BTreeSet<Kind> = definitions().iter().map(kind_of).collect();
    let ours: BTreeSet<Kind> = Kind::ALL.iter().copied().filter(|kind| definition(*kind).is_some()).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn every_rule_in_the_table_is_the_references() {
    let text = json!(definitions()).to_string();
    for (theirs, _, reason) in EQUAL {
        let words: Vec<&str> = theirs.split_whitespace().collect();
        let quoted = json!(words.join(" ")).to_string();
        assert!(text.replace("\\n", " ").contains(quoted.trim_matches('"')), "no such rule; {reason}");
    }
}
