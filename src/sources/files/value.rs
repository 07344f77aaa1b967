//! One document's text -> JSON values, read as `kubectl` reads it; and back from a field's path to its line.
//!
//! `kubectl` follows YAML 1.1 in what a plain scalar means (sigs.k8s.io/yaml): `yes`, `on` and `y` are true, `0644` is
//! octal, a timestamp stays text, a whole float is an integer; a key given twice is an error, as its default validation
//! says. Two known differences: a plain key keeps its text (`on:` is "on", where kubectl says "true"), and any mix of
//! capitals makes a boolean (`yEs`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Error as YamlError, MessageFormatter, Options, UserMessageFormatter};

mod locate;
#[cfg(test)]
mod tests;

pub(crate) use locate::locate;

/// Why a text could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Line in the text, from 1.
    pub(crate) line: u32,
    /// Character in the line, from 1.
    pub(crate) column: u32,
    /// The reason.
    pub(crate) message: String,
    /// What to do; may be empty.
    pub(crate) hint: &'static str,
}

/// What was read of a text: its values with the lines on which they start, and what stopped the reading.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// One value; several only for JSON values written one after the other.
    pub(crate) values: Vec<(u32, Value)>,
    /// Why there are no more values, if the text has not been read to its end.
    pub(crate) flaw: Option<Flaw>,
}

/// Reads a document. Text that starts as JSON is read as JSON, which is many times quicker; unless the file says that
/// it is nothing else (`json`), a text that fails as JSON is tried as YAML, of which `{a: b}` is a fine piece.
pub(crate) fn read(text: &str, json: bool) -> Reading {
    if !json && !text.trim_start().starts_with('{') {
        return read_yaml(text);
    }
    let reading = read_json(text);
    if json || reading.flaw.is_none() {
        return reading;
    }
    let yaml = read_yaml(text);
    if yaml.flaw.is_none() || reading.values.is_empty() { yaml } else { reading }
}

fn read_json(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Tree>();
    let (mut counted, mut line) = (0, 1_u32);
    loop {
        let rest = text.get(stream.byte_offset()..).unwrap_or_default();
        let start = text.len() - rest.trim_start().len();
        line = line.saturating_add(newlines(text.get(counted..start).unwrap_or_default()));
        counted = start;
        match stream.next() {
            None => return reading,
            Some(Ok(tree)) => reading.values.push((line, tree.0)),
            Some(Err(error)) => {
                reading.flaw = Some(json_flaw(&error));
                return reading;
            }
        }
    }
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

fn json_flaw(error: &serde_json::Error) -> Flaw {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Flaw { line: narrow(line), column: narrow(column), message: message.to_owned(), hint: "" }
}

fn read_yaml(text: &str) -> Reading {
    match serde_saphyr::from_str_with_options::<Tree>(text, options()) {
        Ok(tree) => Reading { values: vec![(1, tree.0)], flaw: None },
        Err(error) => Reading { values: Vec::new(), flaw: Some(yaml_flaw(&error)) },
    }
}

/// Nesting that fits the stack of a thread even in a debug build; what is deepest in practice, the schemas of
/// CustomResourceDefinitions, stays far below. JSON has serde_json's limit of 128.
const MAX_DEPTH: usize = 64;

/// How YAML is read here, with limits against texts that unfold to more than they are.
fn options() -> Options {
    serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: false,
        legacy_octal_numbers: true,
        // Secrets mark their data so now and then, and the text in base64 is what is wanted.
        ignore_binary_tag_for_string: true,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: 10_000_000,
            max_nodes: 5_000_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
        },
    }
}

fn yaml_flaw(error: &YamlError) -> Flaw {
    let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    let message = Wording.format_message(error).into_owned();
    let hint = if message.contains("tabs disallowed") { "indent with spaces" } else { "" };
    Flaw { line: narrow(line), column: narrow(column), message, hint }
}

/// The parser's messages, without its advice to programmers.
struct Wording;

impl MessageFormatter for Wording {
    fn format_message<'a>(&self, error: &'a YamlError) -> Cow<'a, str> {
        match error {
            YamlError::DuplicateMappingKey { key: Some(key), .. } => {
                Cow::Owned(format!("key {key:?} is given twice"))
            }
            YamlError::RecursiveReferencesRequireWeakTypes { .. } => {
                Cow::Borrowed("an alias stands inside the node it names")
            }
            YamlError::NonFiniteFloat { value, .. } => {
                Cow::Owned(format!("{value} is no number that JSON can say"))
            }
            _ => UserMessageFormatter.format_message(error),
        }
    }
}

/// A JSON value that refuses a key given twice.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

/// Whole numbers below this are exact in a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() < EXACT {
            return Ok(Value::from(value as i64));
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number that JSON can say"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("key {key:?} is given twice")));
            }
            let Tree(value) = access.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
