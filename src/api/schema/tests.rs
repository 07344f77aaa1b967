//! The rules and the structural form, on small types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = one_of("by_number, byName"), transform = one_of("left"), transform = also_named("small", "tiny"))]
struct Choice {
    /// A number.
    #[serde(rename = "by_number")]
    by_number: Option<u32>,
    /// A name.
    by_name: Option<Word>,
    /// Left.
    left: Option<bool>,
    /// A small
    /// number.
    ///
    /// May be null.
    #[schemars(transform = required, range(min = 1))]
    small: Option<u64>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
/// Some word.
enum Word {
    /// First.
    #[default]
    One,
    /// Second.
    TwoMore,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = at_most_one("nested, lists"), transform = cel("never", "false"))]
struct Outer {
    /// Nested.
    #[schemars(transform = without_rule("outside"), transform = cel("added", "true"))]
    nested: Option<Ruled>,
    /// Lists.
    #[schemars(transform = list_map("port"), transform = items(property("port", port)))]
    lists: Vec<Ruled>,
    /// Maps.
    #[schemars(transform = values(any_span))]
    maps: BTreeMap<String, crate::scalar::Duration>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = one_of("port"), transform = cel("inside", "1 == 1"))]
struct Ruled {
    /// A port.
    port: u32,
}

fn at<T: JsonSchema>(pointer: &str) -> Value {
    structural::<T>().pointer(pointer).cloned().unwrap_or_default()
}

#[test]
fn members_of_a_oneof_are_never_null_and_other_numbers_may_be() {
    let bounds = json!({"description": "A number.", "type": "integer", "minimum": 0, "maximum": u32::MAX});
    assert_eq!(at::<Choice>("/properties/by_number"), bounds);
    let small = json!({"description": "A small number.\nMay be null.", "type": "integer", "minimum": 1, "nullable": true});
    assert_eq!(at::<Choice>("/properties/small"), small);
}

#[test]
fn two_oneofs_of_a_type_hold_both() {
    let one = json!({"oneOf": [{"not": {"anyOf": [{"required": ["left"]}]}}, {"required": ["left"]}]});
    assert_eq!(at::<Choice>("/allOf/1"), one);
    assert_eq!(at::<Choice>("/allOf/0/oneOf/2"), json!({"required": ["byName"]}));
    assert_eq!(at::<Choice>("/oneOf"), Value::Null);
}

#[test]
fn a_second_name_has_the_schema_of_the_first_and_both_are_required() {
    assert_eq!(at::<Choice>("/properties/tiny"), at::<Choice>("/properties/small"));
    assert_eq!(at::<Choice>("/required"), json!(["small", "tiny"]));
}

#[test]
fn words_are_one_enum_with_their_meanings() {
    let word = json!({"description": "A name.\nONE: First.\nTWO_MORE: Second.", "type": "string", "enum": ["ONE", "TWO_MORE"]});
    assert_eq!(at::<Choice>("/properties/byName"), word);
}

#[test]
fn rules_of_a_type_and_of_its_use_add_up() {
    let rules = json!([{"message": "added", "rule": "true"}, {"message": "inside", "rule": "1 == 1"}]);
    assert_eq!(at::<Outer>("/properties/nested/x-kubernetes-validations"), rules);
    assert_eq!(at::<Outer>("/properties/nested/oneOf/1"), json!({"required": ["port"]}));
    let count = "(has(self.nested) ? 1 : 0) + (has(self.lists) ? 1 : 0) <= 1";
    assert_eq!(at::<Outer>("/x-kubernetes-validations/0/rule"), json!(count));
    assert_eq!(at::<Outer>("/x-kubernetes-validations/1/message"), json!("never"));
}

#[test]
fn rules_reach_elements_and_values() {
    assert_eq!(at::<Outer>("/properties/lists/x-kubernetes-list-map-keys"), json!(["port"]));
    let rule = "/properties/lists/items/properties/port/x-kubernetes-validations/0/rule";
    assert_eq!(at::<Outer>(rule), json!("0 < self && self <= 65535"));
    assert_eq!(at::<Outer>("/properties/maps/additionalProperties"), json!({"type": "string"}));
}

#[test]
fn what_serde_fills_in_is_no_default_of_the_schema() {
    assert!(!structural::<Choice>().to_string().contains("default"));
    assert!(!structural::<Outer>().to_string().contains("default"));
}
