//! The rules that types carry: each is a transform for `#[schemars(transform = ...)]` of a field or a type.
//!
//! Bounds have attributes of their own (`length`, `range`, `regex`, `inner`, `extend`); what stands here is what those
//! cannot say. The expressions are CEL, in the words of the reference's schemas.

use schemars::Schema;
use schemars::transform::Transform;
use serde_json::{Value, json};

use super::structural::REQUIRED;

/// Where Kubernetes has the rules in CEL.
pub(super) const VALIDATIONS: &str = "x-kubernetes-validations";

/// An expression over `self` that must hold, and what the user is told when it does not.
pub(crate) fn cel(message: &'static str, rule: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| add_rule(schema, message, rule)
}

fn add_rule(schema: &mut Schema, message: &str, rule: &str) {
    let rules = schema.ensure_object().entry(VALIDATIONS).or_insert_with(|| json!([]));
    if let Value::Array(rules) = rules {
        rules.push(json!({"message": message, "rule": rule}));
    }
}

/// Takes away the rule with this message, where one use of a type is freer than the others.
pub(crate) fn without_rule(message: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        if let Some(Value::Array(rules)) = schema.get_mut(VALIDATIONS) {
            rules.retain(|rule| rule.get("message").and_then(Value::as_str) != Some(message));
        }
    }
}

/// The field must be there.
pub(crate) fn required(schema: &mut Schema) {
    schema.insert(REQUIRED.to_owned(), Value::Bool(true));
}

/// The most characters of a text, where `length` does not reach: in values of maps.
pub(crate) fn max_length(most: u32) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert("maxLength".to_owned(), json!(most));
    }
}

/// A port number.
pub(crate) fn port(schema: &mut Schema) {
    add_rule(schema, "a port is from 1 to 65535", "0 < self && self <= 65535");
}

/// A span of time that may be zero or below a millisecond, other than spans are in general.
pub(crate) fn any_span(schema: &mut Schema) {
    schema.remove(VALIDATIONS);
}

/// At most one of these fields, a list with commas, may be set.
pub(crate) fn at_most_one(fields: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let counts: Vec<String> =
            fields.split(", ").map(|field| format!("(has(self.{field}) ? 1 : 0)")).collect();
        let message = format!("only one of {fields} can be set");
        add_rule(schema, &message, &format!("{} <= 1", counts.join(" + ")));
    }
}

/// The members of a proto `oneof`, a list with commas: at most one is set, and a member that is there is not null.
pub(crate) fn one_of(members: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let mut set = Vec::new();
        for member in members.split(", ") {
            property(member, never_null)(schema);
            set.push(json!({"required": [member]}));
        }
        let none = json!({"not": {"anyOf": set}});
        let choices: Value = std::iter::once(none).chain(set).collect();
        match schema.remove("oneOf") {
            None => schema.insert("oneOf".to_owned(), choices),
            Some(other) => schema.insert("allOf".to_owned(), json!([{"oneOf": other}, {"oneOf": choices}])),
        };
    }
}

fn never_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
    }
}

/// A second name of a field, that of its proto, which is read too.
pub(crate) fn also_named(field: &'static str, other: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        if let Some(Value::Object(fields)) = schema.get_mut("properties")
            && let Some(same) = fields.get(field).cloned()
        {
            fields.insert(other.to_owned(), same);
        }
    }
}

/// A list whose elements are told apart by one of their fields.
pub(crate) fn list_map(key: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert("x-kubernetes-list-type".to_owned(), json!("map"));
        schema.insert("x-kubernetes-list-map-keys".to_owned(), json!([key]));
    }
}

/// A rule for a field of a type, in the one place where the type is used so.
pub(crate) fn property(field: &'static str, mut rule: impl Transform) -> impl FnMut(&mut Schema) {
    move |schema| {
        let field = schema.get_mut("properties").and_then(|fields| fields.get_mut(field));
        apply(&mut rule, field);
    }
}

/// A rule for the elements of a list.
pub(crate) fn items(mut rule: impl Transform) -> impl FnMut(&mut Schema) {
    move |schema| apply(&mut rule, schema.get_mut("items"))
}

/// A rule for the values of a map.
pub(crate) fn values(mut rule: impl Transform) -> impl FnMut(&mut Schema) {
    move |schema| apply(&mut rule, schema.get_mut("additionalProperties"))
}

fn apply(rule: &mut impl Transform, schema: Option<&mut Value>) {
    if let Some(schema) = schema.and_then(|value| value.try_into().ok()) {
        rule.transform(schema);
    }
}
