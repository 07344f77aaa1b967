//! From a derived JSON schema to a structural one: no references, one type a node, no `null` type, no defaults.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::rules::VALIDATIONS;

/// On a field: it belongs to its parent's `required`. Gone when the schema is structural.
pub(super) const REQUIRED: &str = "x-required";

/// The schema of a type as a CustomResourceDefinition carries it. Only fields that are marked as required are; what
/// serde fills in when a field is absent is not stated, because the API server would write it into the object.
pub(crate) fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = T::json_schema(&mut settings.into_generator());
    Structural.transform(&mut schema);
    schema.to_value()
}

struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(node) = schema.as_object_mut() {
            node.remove("default");
            unwrap_optional(node);
            single_type(node);
            list_values(node);
            integer_bounds(node);
            flow_description(node);
        }
        transform_subschemas(self, schema);
        if let Some(node) = schema.as_object_mut() {
            collect_required(node);
        }
    }
}

/// `anyOf` a schema or null is the schema: what the outside says goes before what it says of itself, rules add up.
fn unwrap_optional(node: &mut Map<String, Value>) {
    let Some(Value::Array(mut choices)) = node.remove("anyOf") else { return };
    let null = choices.iter().position(|choice| choice.get("type") == Some(&json!("null")));
    match (null.map(|at| choices.remove(at)), choices.pop()) {
        (Some(_), Some(Value::Object(inner))) if choices.is_empty() => merge(node, inner),
        (null, last) => {
            node.insert("anyOf".to_owned(), choices.into_iter().chain(last).chain(null).collect());
        }
    }
}

fn merge(node: &mut Map<String, Value>, inner: Map<String, Value>) {
    for (key, value) in inner {
        match (node.get_mut(&key), value) {
            (Some(Value::Array(rules)), Value::Array(more)) if key == VALIDATIONS => rules.extend(more),
            (Some(_), _) => {}
            (None, value) => {
                node.insert(key, value);
            }
        }
    }
}

/// A node has one type. A number or boolean that may be absent (a proto wrapper) may also be null.
fn single_type(node: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(types)) = node.get("type") else { return };
    let Some(Value::String(name)) = types.iter().find(|name| *name != "null").cloned() else { return };
    if types.len() > 1 && matches!(name.as_str(), "boolean" | "integer" | "number") {
        node.insert("nullable".to_owned(), Value::Bool(true));
    }
    node.insert("type".to_owned(), Value::String(name));
}

/// A choice of words, each with its description, is one `enum`; the words' descriptions go to the node's own.
fn list_values(node: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = node.get("oneOf") else { return };
    let Some(words) = choices.iter().map(|choice| choice.get("const").cloned()).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let own = node.get("description").and_then(Value::as_str).into_iter().map(str::to_owned);
    let of_words = choices.iter().zip(&words).filter_map(|(choice, word)| {
        Some(format!("{}: {}", word.as_str()?, choice.get("description")?.as_str()?))
    });
    let description = own.chain(of_words).collect::<Vec<_>>().join("\n\n");
    node.insert("description".to_owned(), Value::String(description));
    node.insert("type".to_owned(), json!("string"));
    node.insert("enum".to_owned(), Value::Array(words));
    node.remove("oneOf");
}

/// Kubernetes knows no unsigned formats: their bounds are stated.
fn integer_bounds(node: &mut Map<String, Value>) {
    match node.get("format").and_then(Value::as_str) {
        Some("uint32") => {
            node.remove("format");
            node.entry("maximum").or_insert_with(|| json!(u32::MAX));
        }
        Some("uint64") => {
            node.remove("format");
        }
        _ => {}
    }
}

/// A description's lines were broken for the source: only its paragraphs stay.
fn flow_description(node: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text =
            text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n");
    }
}

/// Only marks on fields make the `required` of the node.
fn collect_required(node: &mut Map<String, Value>) {
    let Some(Value::Object(fields)) = node.get_mut("properties") else { return };
    let mut marked = Vec::new();
    for (name, field) in fields {
        if field.as_object_mut().and_then(|field| field.remove(REQUIRED)).is_some() {
            marked.push(Value::String(name.clone()));
        }
    }
    node.remove("required");
    if !marked.is_empty() {
        node.insert("required".to_owned(), Value::Array(marked));
    }
}
