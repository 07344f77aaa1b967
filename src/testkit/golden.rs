//! Goldens: what a case's own settings change of what its proxies are sent, kept in files and compared.
//!
//! A golden is a folder of `input.yaml` and `proxies.yaml`, as a conformance case, with `expected/<proxy>.json`: the
//! resources by type and name that are not the same, or not there, without the input's Istio kinds, Ingresses and mesh
//! settings. A resource that is there only without them is null. Of an input without settings it is all that is sent.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::Dump;
use crate::conformance::Case;

/// What each proxy of a case gets that it would not get without the case's settings.
///
/// # Errors
/// The input cannot be decoded, or a proxy's node cannot be read.
pub fn changes(case: &Case, base: &str) -> Result<Vec<(String, Dump)>> {
    let plain = case.plain();
    let has_settings = plain.documents().len() < case.documents().len();
    let plain = if has_settings { plain.dumps(base)? } else { Vec::new() };
    let plain: BTreeMap<String, Dump> = plain.into_iter().collect();
    let change = |(proxy, dump): (String, Dump)| {
        let changed = difference(plain.get(&proxy).unwrap_or(&Dump::new()), dump);
        (proxy, changed)
    };
    Ok(case.dumps(base)?.into_iter().map(change).collect())
}

/// What of `now` is not in `before`, and null for what is in `before` alone.
fn difference(before: &Dump, now: Dump) -> Dump {
    let mut difference = Dump::new();
    for (kind, resources) in before {
        let gone = resources.keys().filter(|name| !now.get(kind).is_some_and(|now| now.contains_key(*name)));
        let gone: BTreeMap<_, _> = gone.map(|name| (name.clone(), Value::Null)).collect();
        difference.insert(kind.clone(), gone);
    }
    for (kind, resources) in now {
        let known = before.get(&kind);
        let new = resources
            .into_iter()
            .filter(|(name, resource)| known.and_then(|known| known.get(name)) != Some(resource));
        difference.entry(kind).or_default().extend(new);
    }
    difference.retain(|_, resources| !resources.is_empty());
    difference
}

/// A dump as its file holds it: what fits in a line stands in one.
pub fn text(dump: &Dump) -> String {
    let mut text = String::new();
    write(&json!(dump), 0, &mut text);
    text.push('\n');
    text
}

/// The columns of a line.
const WIDTH: usize = 140;

fn write(value: &Value, indent: usize, text: &mut String) {
    let line = value.to_string();
    let (open, close, members): (_, _, Vec<(String, &Value)>) = match value {
        // The types and their resources have lines of their own.
        _ if indent > 1 && line.len() + indent < WIDTH => return text.push_str(&line),
        Value::Object(members) if !members.is_empty() => {
            ('{', '}', members.iter().map(|(name, member)| (format!("{}: ", json!(name)), member)).collect())
        }
        Value::Array(elements) if !elements.is_empty() => {
            ('[', ']', elements.iter().map(|element| (String::new(), element)).collect())
        }
        _ => return text.push_str(&line),
    };
    text.push(open);
    for (number, (name, member)) in members.into_iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        text.push_str(&format!("{comma}\n{:indent$}{name}", "", indent = indent + 1));
        write(member, indent + 1, text);
    }
    text.push_str(&format!("\n{:indent$}{close}", ""));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(value: Value) -> Dump {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_differs_is_kept_and_what_went_is_null() {
        let before = dump(json!({"cds": {"same": {"name": 1}, "other": {"name": 1}}, "rds": {"80": {}}}));
        let now = dump(json!({"cds": {"same": {"name": 1}, "other": {"name": 2}, "new": {}}}));
        let want = dump(json!({"cds": {"other": {"name": 2}, "new": {}}, "rds": {"80": null}}));
        assert_eq!(difference(&before, now), want);
    }

    #[test]
    fn the_text_is_the_dump_and_long_values_are_broken() {
        let long = "x".repeat(WIDTH);
        let dump = dump(json!({"cds": {"a": {"name": "a"}, "b": {"name": long, "list": [1, 2], "no": {}}}}));
        let text = text(&dump);
        assert_eq!(serde_json::from_str::<Dump>(&text).unwrap(), dump);
        let lines: Vec<&str> = text.lines().filter(|line| line.len() < WIDTH).collect();
        let want = [
            "{",
            " \"cds\": {",
            "  \"a\": {\"name\":\"a\"},",
            "  \"b\": {",
            "   \"list\": [1,2],",
            "   \"no\": {}",
            "  }",
            " }",
            "}",
        ];
        assert_eq!(lines, want);
    }
}
