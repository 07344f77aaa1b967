//! The leaves of a schema: every field that holds a value of its own, and the values of those that have a list of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The leaves by path, each with the values that it may have; none means that it is free. In a path `[]` stands for the
/// elements of a list and `{}` for the entries of a map.
pub(super) fn leaves(schema: &Value) -> BTreeMap<String, Vec<String>> {
    let mut leaves = BTreeMap::new();
    collect(schema, "", &mut leaves);
    leaves
}

fn collect(schema: &Value, path: &str, leaves: &mut BTreeMap<String, Vec<String>>) {
    match Form::of(schema) {
        Form::Fields(fields) => {
            for (name, field) in fields {
                collect(field, &member(path, name), leaves);
            }
        }
        Form::Entries(entries) => collect(entries, &format!("{path}{{}}"), leaves),
        Form::Elements(elements) => collect(elements, &format!("{path}[]"), leaves),
        Form::Leaf => {
            let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            let words = values.filter_map(Value::as_str).map(str::to_owned).collect();
            leaves.insert(path.to_owned(), words);
        }
    }
}

/// The path of a member. Of two names of a field, as some have them, the JSON name counts.
pub(super) fn member(path: &str, name: &str) -> String {
    let name = camel_case(name);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

/// What stands below a node of a schema.
pub(super) enum Form<'s> {
    /// Named fields.
    Fields(&'s Map<String, Value>),
    /// A map, with the schema of its entries.
    Entries(&'s Value),
    /// A list, with the schema of its elements.
    Elements(&'s Value),
    /// A value; free-form objects and messages without fields too.
    Leaf,
}

impl<'s> Form<'s> {
    pub(super) fn of(schema: &'s Value) -> Self {
        let object = |key: &str| schema.get(key).filter(|value| value.is_object());
        if let Some(fields) = object("properties").and_then(Value::as_object).filter(|f| !f.is_empty()) {
            return Self::Fields(fields);
        }
        match (object("additionalProperties"), object("items")) {
            (Some(entries), _) => Self::Entries(entries),
            (None, Some(elements)) => Self::Elements(elements),
            (None, None) => Self::Leaf,
        }
    }
}
