//! Where a document sets the leaves of its schema, and the same document with one of them otherwise.

use serde_json::{Map, Value, json};

use super::schema::{Form, member};

/// One leaf as a document sets it.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The leaf's path in the schema.
    pub(super) leaf: String,
    /// Where it is in the document.
    steps: Vec<Step>,
    /// What it is.
    pub(super) value: Value,
}

/// One step from a value to one below it.
#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Element(usize),
}

/// All leaves that a document sets.
pub(super) fn settings(schema: &Value, document: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    collect(schema, document, "", &mut Vec::new(), &mut found);
    found
}

fn collect(schema: &Value, document: &Value, path: &str, steps: &mut Vec<Step>, found: &mut Vec<Setting>) {
    match (Form::of(schema), document) {
        (Form::Fields(fields), Value::Object(members)) => {
            for (name, value) in members {
                let of = |field: &&String| member("", field) == member("", name);
                let Some(field) = fields.keys().find(of).and_then(|field| fields.get(field)) else {
                    continue;
                };
                steps.push(Step::Member(name.clone()));
                collect(field, value, &member(path, name), steps, found);
                steps.pop();
            }
        }
        (Form::Entries(entries), Value::Object(members)) => {
            for (name, value) in members {
                steps.push(Step::Member(name.clone()));
                collect(entries, value, &format!("{path}{{}}"), steps, found);
                steps.pop();
            }
        }
        (Form::Elements(elements), Value::Array(values)) => {
            for (at, value) in values.iter().enumerate() {
                steps.push(Step::Element(at));
                collect(elements, value, &format!("{path}[]"), steps, found);
                steps.pop();
            }
        }
        (Form::Leaf, value) => {
            found.push(Setting { leaf: path.to_owned(), steps: steps.clone(), value: value.clone() });
        }
        _ => {}
    }
}

impl Setting {
    /// The document without the leaf, and with other values of it: those of the list, or others of its type.
    pub(super) fn variants(&self, document: &Value, values: &[String]) -> Vec<Value> {
        let mut without = document.clone();
        remove(&mut without, &self.steps);
        let others = self.others(values).into_iter().filter_map(|other| {
            let mut with = document.clone();
            *below(&mut with, &self.steps)? = other;
            Some(with)
        });
        std::iter::once(without).chain(others).chain(self.renamed(document)).collect()
    }

    /// The document with the entry of a map under another name: shares, for one, cannot change by themselves.
    fn renamed(&self, document: &Value) -> Option<Value> {
        let (Step::Member(name), above) = self.steps.split_last().filter(|_| self.leaf.ends_with("{}"))?
        else {
            return None;
        };
        let mut renamed = document.clone();
        let members = below(&mut renamed, above)?.as_object_mut()?;
        let value = members.remove(name)?;
        members.insert(format!("{name}x"), value);
        Some(renamed)
    }

    fn others(&self, values: &[String]) -> Vec<Value> {
        match &self.value {
            Value::String(own) if !values.is_empty() => {
                values.iter().filter(|value| *value != own).map(|value| json!(value)).collect()
            }
            // The first is another span of time or range of addresses, where the second is none.
            Value::String(text) => vec![json!(format!("1{text}")), json!(format!("{text}x"))],
            Value::Bool(on) => vec![json!(!on)],
            Value::Number(number) => match number.as_i64() {
                Some(number) => vec![json!(number.saturating_add(1))],
                None => vec![json!(number.as_f64().unwrap_or_default() + 1.0)],
            },
            _ => Vec::new(),
        }
    }
}

fn below<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.get_mut(name),
        Step::Element(at) => value.get_mut(at),
    })
}

fn remove(document: &mut Value, steps: &[Step]) {
    let Some((last, above)) = steps.split_last() else {
        *document = Value::Object(Map::new());
        return;
    };
    match (below(document, above), last) {
        (Some(Value::Object(members)), Step::Member(name)) => {
            members.remove(name);
        }
        (Some(Value::Array(values)), Step::Element(at)) if *at < values.len() => {
            values.remove(*at);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {
                "mode": {"type": "string", "enum": ["A", "B"]}, "max_age": {"type": "string"},
            }}},
            "shares": {"type": "object", "additionalProperties": {"type": "integer"}},
        }})
    }

    fn variants(document: &Value, leaf: &str, values: &[String]) -> Vec<Value> {
        let found = settings(&schema(), document);
        let setting = found.iter().find(|setting| setting.leaf == leaf).unwrap();
        setting.variants(document, values)
    }

    #[test]
    fn a_leaf_is_found_by_both_of_its_names_and_left_out_or_changed() {
        let document = json!({"list": [{"mode": "A"}, {"maxAge": "1s"}], "unknown": 1});
        let values = ["A".to_owned(), "B".to_owned()];
        let want = [
            json!({"list": [{}, {"maxAge": "1s"}], "unknown": 1}),
            json!({"list": [{"mode": "B"}, {"maxAge": "1s"}], "unknown": 1}),
        ];
        assert_eq!(variants(&document, "list[].mode", &values), want);
        let ages = variants(&document, "list[].maxAge", &[]);
        let ages: Vec<_> = ages.iter().map(|age| age.pointer("/list/1/maxAge")).collect();
        assert_eq!(ages, [None, Some(&json!("11s")), Some(&json!("1sx"))]);
    }

    #[test]
    fn an_entry_of_a_map_is_also_tried_under_another_name() {
        let document = json!({"shares": {"north": 70}});
        let want =
            [json!({"shares": {}}), json!({"shares": {"north": 71}}), json!({"shares": {"northx": 70}})];
        assert_eq!(variants(&document, "shares{}", &[]), want);
    }
}
