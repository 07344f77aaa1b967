//! Messages to JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value as Field};
use serde_json::{Map, Value, json};

use super::{MAX_DEPTH, decode, number, wkt};

/// A message at nesting depth `depth`, well-known types in their special forms.
pub(super) fn message(m: &DynamicMessage, depth: usize) -> Value {
    if let Some(value) = wkt::print(m, depth) {
        return value;
    }
    let mut object = Map::new();
    fields(m, depth, &mut object);
    Value::Object(object)
}

/// An `Any`: its content's fields beside `@type`; content with a form of its own under `value`.
pub(super) fn any(type_url: &str, bytes: &[u8], depth: usize) -> Value {
    if type_url.is_empty() && bytes.is_empty() {
        return json!({});
    }
    let mut object = Map::new();
    object.insert("@type".into(), type_url.into());
    let content = if depth < MAX_DEPTH { decode(envoy::type_name(type_url), bytes).ok() } else { None };
    match content {
        None => {
            object.insert("value".into(), BASE64_STANDARD.encode(bytes).into());
        }
        Some(content) => match wkt::print(&content, depth + 1) {
            Some(value) => {
                object.insert("value".into(), value);
            }
            None => fields(&content, depth + 1, &mut object),
        },
    }
    Value::Object(object)
}

fn fields(m: &DynamicMessage, depth: usize, into: &mut Map<String, Value>) {
    for (descriptor, value) in m.fields() {
        into.insert(descriptor.json_name().to_owned(), field(&descriptor, value, depth));
    }
}

fn field(descriptor: &FieldDescriptor, value: &Field, depth: usize) -> Value {
    match value {
        Field::List(values) => values.iter().map(|v| single(&descriptor.kind(), v, depth)).collect(),
        Field::Map(entries) => {
            let kind = descriptor.kind();
            let Some(entry) = kind.as_message() else {
                return Value::Null;
            };
            let value_kind = entry.map_entry_value_field().kind();
            let mut entries: Vec<_> = entries.iter().map(|(k, v)| (key(k), v)).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.into_iter().map(|(k, v)| (k, single(&value_kind, v, depth))).collect()
        }
        _ => single(&descriptor.kind(), value, depth),
    }
}

fn key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(v) => v.to_string(),
        MapKey::I32(v) => v.to_string(),
        MapKey::I64(v) => v.to_string(),
        MapKey::U32(v) => v.to_string(),
        MapKey::U64(v) => v.to_string(),
        MapKey::String(v) => v.clone(),
    }
}

/// One value; `kind` tells an enum's names.
pub(super) fn single(kind: &Kind, value: &Field, depth: usize) -> Value {
    match value {
        Field::Bool(v) => (*v).into(),
        Field::I32(v) => (*v).into(),
        Field::U32(v) => (*v).into(),
        Field::I64(v) => v.to_string().into(),
        Field::U64(v) => v.to_string().into(),
        Field::F32(v) => number::single(*v),
        Field::F64(v) => number::double(*v),
        Field::String(v) => v.as_str().into(),
        Field::Bytes(v) => BASE64_STANDARD.encode(v).into(),
        Field::EnumNumber(v) => enumerated(kind, *v),
        Field::Message(v) => message(v, depth + 1),
        // The decoder makes neither lists of lists nor maps of maps: protobuf has none.
        Field::List(_) | Field::Map(_) => Value::Null,
    }
}

fn enumerated(kind: &Kind, number: i32) -> Value {
    let Some(descriptor) = kind.as_enum() else {
        return number.into();
    };
    if descriptor.full_name() == "google.protobuf.NullValue" {
        return Value::Null;
    }
    descriptor.get_value(number).map_or_else(|| number.into(), |v| v.name().into())
}

/// A field of a well-known type, by number; its default where absent.
pub(super) fn part(m: &DynamicMessage, number: u32) -> Option<(Kind, Field)> {
    let descriptor = m.descriptor().get_field(number)?;
    Some((descriptor.kind(), m.get_field(&descriptor).into_owned()))
}
