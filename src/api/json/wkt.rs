//! The well-known types that have a JSON form of their own, both ways.
//!
//! `FieldMask` is not among them: no message of Envoy's has one.

use std::str::FromStr as _;

use envoy::Message as _;
use envoy::google::protobuf::value::Kind as StructKind;
use envoy::google::protobuf::{ListValue, Struct, Value as StructValue};
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value as Field};
use serde_json::{Map, Value};

use super::parse::Parser;
use super::scalar::wanted;
use super::{JsonError, MAX_DEPTH, number, print};

const PACKAGE: &str = "google.protobuf.";
const MAX_SECONDS: i64 = 315_576_000_000;

/// Whether the message has a form of its own, so that in an `Any` it stands under `value`.
pub(super) fn is_special(full_name: &str) -> bool {
    full_name.strip_prefix(PACKAGE).is_some_and(|name| {
        matches!(name, "Any" | "Timestamp" | "Duration" | "Struct" | "Value" | "ListValue" | "Empty")
            || is_wrapper(name)
    })
}

fn is_wrapper(name: &str) -> bool {
    matches!(
        name,
        "BoolValue"
            | "BytesValue"
            | "DoubleValue"
            | "FloatValue"
            | "Int32Value"
            | "Int64Value"
            | "StringValue"
            | "UInt32Value"
            | "UInt64Value"
    )
}

/// The special form of a message; `None` for one that has none.
pub(super) fn print(m: &DynamicMessage, depth: usize) -> Option<Value> {
    let descriptor = m.descriptor();
    let name = descriptor.full_name().strip_prefix(PACKAGE)?;
    match name {
        "Any" => {
            let url = text(m, 1);
            let bytes = match print::part(m, 2) {
                Some((_, Field::Bytes(bytes))) => bytes,
                _ => Default::default(),
            };
            Some(print::any(&url, &bytes, depth))
        }
        "Duration" => Some(duration(whole(m, 1), whole(m, 2)).into()),
        "Timestamp" => Some(timestamp(whole(m, 1), whole(m, 2)).into()),
        "Struct" | "Value" | "ListValue" => Some(dynamic_json(m, name)),
        "Empty" => Some(Value::Object(Map::new())),
        _ if is_wrapper(name) => {
            let (kind, value) = print::part(m, 1)?;
            Some(print::single(&kind, &value, depth))
        }
        _ => None,
    }
}

/// Reads the special form of a message's body; `None` for one that has none.
pub(super) fn parse(
    descriptor: &MessageDescriptor,
    json: &Value,
    parser: &mut Parser,
) -> Option<Result<Vec<u8>, JsonError>> {
    let name = descriptor.full_name().strip_prefix(PACKAGE)?;
    let body = match name {
        "Any" => match json.as_object() {
            Some(object) => return Some(parser.any(object)),
            None => Err(wanted("an object with \"@type\"", json)),
        },
        "Duration" => string(json, "a duration such as \"1.5s\"").and_then(parse_duration),
        "Timestamp" => string(json, "a time such as \"2006-01-02T15:04:05Z\"").and_then(parse_timestamp),
        "Struct" => match json.as_object() {
            Some(object) => to_struct(object).map(|s| s.encode_to_vec()),
            None => Err(wanted("an object", json)),
        },
        "Value" => to_value(json).map(|v| v.encode_to_vec()),
        "ListValue" => match json.as_array() {
            Some(items) => list_value(items, 0).map(|l| l.encode_to_vec()),
            None => Err(wanted("a list", json)),
        },
        _ if is_wrapper(name) => {
            let field = descriptor.get_field(1)?;
            let mut out = Vec::new();
            return Some(parser.single(&field, json, false, &mut out).map(|()| out));
        }
        _ => return None,
    };
    Some(body.map_err(|reason| parser.error(reason)))
}

/// A JSON object as protobuf's `Struct`.
///
/// # Errors
/// Nesting beyond 33 levels: each is up to three messages, of which decoders take 100.
pub fn to_struct(object: &Map<String, Value>) -> Result<Struct, String> {
    struct_at(object, 0)
}

/// Any JSON as protobuf's `Value`; numbers become doubles.
///
/// # Errors
/// Nesting beyond 33 levels: each is up to three messages, of which decoders take 100.
pub fn to_value(json: &Value) -> Result<StructValue, String> {
    value_at(json, 0)
}

fn struct_at(object: &Map<String, Value>, depth: usize) -> Result<Struct, String> {
    let fields =
        object.iter().map(|(k, v)| Ok((k.clone(), value_at(v, depth)?))).collect::<Result<_, String>>()?;
    Ok(Struct { fields })
}

fn list_value(items: &[Value], depth: usize) -> Result<ListValue, String> {
    let values = items.iter().map(|v| value_at(v, depth)).collect::<Result<_, String>>()?;
    Ok(ListValue { values })
}

fn value_at(json: &Value, depth: usize) -> Result<StructValue, String> {
    // A level of JSON is up to three messages: Value, Struct and the map's entry.
    if depth * 3 >= MAX_DEPTH {
        return Err(format!("nested more than {} levels deep", MAX_DEPTH / 3));
    }
    Ok(match json {
        Value::Null => StructValue::null(),
        Value::Bool(v) => (*v).into(),
        Value::Number(v) => v.as_f64().ok_or_else(|| format!("{v} is not a double"))?.into(),
        Value::String(v) => v.as_str().into(),
        Value::Array(items) => StructKind::ListValue(list_value(items, depth + 1)?).into(),
        Value::Object(object) => struct_at(object, depth + 1)?.into(),
    })
}

/// JSON of `Struct`, `Value` and `ListValue`, through their generated types, whose maps are ordered.
fn dynamic_json(m: &DynamicMessage, name: &str) -> Value {
    let bytes = m.encode_to_vec();
    let bytes = bytes.as_slice();
    match name {
        "Struct" => Struct::decode(bytes).map(|s| struct_json(&s)),
        "ListValue" => ListValue::decode(bytes).map(|l| list_json(&l)),
        _ => StructValue::decode(bytes).map(|v| value_json(&v)),
    }
    .unwrap_or_default()
}

/// The JSON of a `Struct`: as [`to_json`](super::to_json), without descriptors, since every proxy that connects comes
/// with one.
#[must_use]
pub fn struct_json(s: &Struct) -> Value {
    s.fields.iter().map(|(k, v)| (k.clone(), value_json(v))).collect()
}

fn list_json(l: &ListValue) -> Value {
    l.values.iter().map(value_json).collect()
}

fn value_json(v: &StructValue) -> Value {
    match &v.kind {
        None | Some(StructKind::NullValue(_)) => Value::Null,
        Some(StructKind::BoolValue(v)) => (*v).into(),
        Some(StructKind::NumberValue(v)) => number::double(*v),
        Some(StructKind::StringValue(v)) => v.as_str().into(),
        Some(StructKind::ListValue(v)) => list_json(v),
        Some(StructKind::StructValue(v)) => struct_json(v),
    }
}

fn whole(m: &DynamicMessage, number: u32) -> i64 {
    match print::part(m, number) {
        Some((_, Field::I64(v))) => v,
        Some((_, Field::I32(v))) => v.into(),
        _ => 0,
    }
}

fn text(m: &DynamicMessage, number: u32) -> String {
    match print::part(m, number) {
        Some((_, Field::String(v))) => v,
        _ => String::new(),
    }
}

fn string<'a>(json: &'a Value, what: &str) -> Result<&'a str, String> {
    json.as_str().ok_or_else(|| wanted(what, json))
}

/// `10s`, `0.250s`: 0, 3, 6 or 9 digits after the point.
fn duration(seconds: i64, nanos: i64) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos.unsigned_abs()))
}

fn fraction(nanos: u64) -> String {
    match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1000 == 0 => format!(".{:06}", n / 1000),
        n => format!(".{n:09}"),
    }
}

fn parse_duration(text: &str) -> Result<Vec<u8>, String> {
    let error = || format!("{text:?} is not a duration such as \"1.5s\"");
    let number = text.strip_suffix('s').ok_or_else(error)?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds)
        || !digits(fraction)
        || fraction.len() > 9
        || (seconds.is_empty() && fraction.is_empty())
    {
        return Err(error());
    }
    let seconds: i64 = if seconds.is_empty() { 0 } else { seconds.parse().map_err(|_| error())? };
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| error())?;
    if seconds > MAX_SECONDS {
        return Err(format!("{text:?} is beyond 10,000 years"));
    }
    let sign = if negative { -1 } else { 1 };
    let duration =
        envoy::google::protobuf::Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign };
    Ok(duration.encode_to_vec())
}

fn timestamp(seconds: i64, nanos: i64) -> String {
    let nanos = i32::try_from(nanos).unwrap_or(0);
    prost_types::Timestamp { seconds, nanos }.to_string()
}

fn parse_timestamp(text: &str) -> Result<Vec<u8>, String> {
    let time = prost_types::Timestamp::from_str(text)
        .map_err(|_| format!("{text:?} is not a time such as \"2006-01-02T15:04:05Z\""))?;
    Ok(time.encode_to_vec())
}
