//! JSON to the wire form of messages: fields by number, map entries by key.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::scalar::{self, Scalar, wanted};
use super::{JsonError, MAX_DEPTH, POOL, wire, wkt};

/// Reads a message from the top: `lenient` passes over unknown fields and enum names.
pub(super) fn message(
    descriptor: &MessageDescriptor,
    json: &Value,
    lenient: bool,
) -> Result<Vec<u8>, JsonError> {
    let mut parser = Parser { path: vec![descriptor.full_name().to_owned()], depth: 0, lenient };
    parser.message(descriptor, json)
}

/// Where in the document the parser is.
pub(super) struct Parser {
    /// Parts such as `.name` and `[3]`, after the top message's name.
    path: Vec<String>,
    depth: usize,
    lenient: bool,
}

impl Parser {
    /// One message's body, without key and length.
    pub(super) fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        json: &Value,
    ) -> Result<Vec<u8>, JsonError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(format!("nested more than {MAX_DEPTH} messages deep")));
        }
        self.depth += 1;
        let body = match wkt::parse(descriptor, json, self) {
            Some(body) => body,
            None => match json.as_object() {
                Some(object) => self.object(descriptor, object.iter()),
                None => Err(self.error(wanted(&format!("an object ({})", descriptor.full_name()), json))),
            },
        };
        self.depth -= 1;
        body
    }

    /// The content of an `Any`.
    pub(super) fn any(&mut self, object: &Map<String, Value>) -> Result<Vec<u8>, JsonError> {
        if object.is_empty() {
            return Ok(Vec::new());
        }
        let Some(type_url) = object.get("@type") else {
            return Err(self.error("an Any needs a field \"@type\"".to_owned()));
        };
        let type_url = type_url
            .as_str()
            .ok_or_else(|| self.error(format!("@type: {}", wanted("a string", type_url))))?;
        if !type_url.contains('/') {
            return Err(self.error(format!(
                "@type {type_url:?} is not a type URL: write \"{}{type_url}\"",
                envoy::TYPE_URL_PREFIX
            )));
        }
        let name = envoy::type_name(type_url);
        let descriptor = POOL
            .get_message_by_name(name)
            .ok_or_else(|| JsonError::UnknownType { path: self.path.concat(), name: name.to_owned() })?;
        let content = if wkt::is_special(name) {
            let value = object
                .get("value")
                .ok_or_else(|| self.error(format!("an Any of {name} needs a field \"value\"")))?;
            self.under(".value".to_owned(), |p| p.message(&descriptor, value))?
        } else {
            self.object(&descriptor, object.iter().filter(|(k, _)| *k != "@type"))?
        };
        let mut out = Vec::with_capacity(type_url.len() + content.len() + 8);
        wire::delimited(1, type_url.as_bytes(), &mut out);
        if !content.is_empty() {
            wire::delimited(2, &content, &mut out);
        }
        Ok(out)
    }

    fn object<'a>(
        &mut self,
        descriptor: &MessageDescriptor,
        entries: impl Iterator<Item = (&'a String, &'a Value)>,
    ) -> Result<Vec<u8>, JsonError> {
        let mut by_number: BTreeMap<u32, (FieldDescriptor, &String, &Value)> = BTreeMap::new();
        let mut oneofs: BTreeMap<String, &String> = BTreeMap::new();
        for (name, json) in entries {
            let found =
                descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name));
            let Some(field) = found else {
                if self.lenient {
                    continue;
                }
                return Err(self.error(format!("{} has no field {name:?}", descriptor.full_name())));
            };
            if json.is_null() && !takes_null(&field) {
                continue;
            }
            if let Some(oneof) = field.containing_oneof()
                && let Some(other) = oneofs.insert(oneof.name().to_owned(), name)
            {
                return Err(self.error(format!("{other:?} and {name:?} exclude each other: set one")));
            }
            if let Some((_, other, _)) = by_number.insert(field.number(), (field, name, json)) {
                return Err(self.error(format!("{other:?} and {name:?} are the same field: set one")));
            }
        }
        let mut out = Vec::new();
        for (field, name, json) in by_number.into_values() {
            self.under(format!(".{name}"), |p| p.field(&field, json, &mut out))?;
        }
        Ok(out)
    }

    fn field(&mut self, field: &FieldDescriptor, json: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
        if field.is_map() {
            self.map(field, json, out)
        } else if field.is_list() {
            self.list(field, json, out)
        } else {
            self.single(field, json, field.supports_presence(), out)
        }
    }

    /// One value with its key; `keep` writes it even if it is the default.
    pub(super) fn single(
        &mut self,
        field: &FieldDescriptor,
        json: &Value,
        keep: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let kind = field.kind();
        if let Kind::Message(descriptor) = &kind {
            let body = self.message(descriptor, json)?;
            wire::delimited(field.number(), &body, out);
            return Ok(());
        }
        match scalar::parse(&kind, json, self.lenient).map_err(|reason| self.error(reason))? {
            Scalar::Unknown => {}
            Scalar::Wire { is_default: true, .. } if !keep => {}
            Scalar::Wire { bytes, .. } => value(field, &bytes, out),
        }
        Ok(())
    }

    fn list(&mut self, field: &FieldDescriptor, json: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let items = json.as_array().ok_or_else(|| self.error(wanted("a list", json)))?;
        let mut packed = Vec::new();
        for (at, item) in items.iter().enumerate() {
            self.under(format!("[{at}]"), |p| {
                if !field.is_packed() {
                    return p.single(field, item, true, out);
                }
                match scalar::parse(&field.kind(), item, p.lenient).map_err(|reason| p.error(reason))? {
                    Scalar::Wire { bytes, .. } => packed.extend_from_slice(&bytes),
                    Scalar::Unknown => {}
                }
                Ok(())
            })?;
        }
        if !packed.is_empty() {
            wire::delimited(field.number(), &packed, out);
        }
        Ok(())
    }

    fn map(&mut self, field: &FieldDescriptor, json: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let object = json.as_object().ok_or_else(|| self.error(wanted("an object", json)))?;
        let kind = field.kind();
        let Some(entry) = kind.as_message() else {
            return Err(self.error("a map without entries".to_owned()));
        };
        let (key_field, value_field) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        // Sorted whatever order the JSON object keeps.
        for (key, json) in object.iter().collect::<BTreeMap<_, _>>() {
            self.under(format!("[{key:?}]"), |p| {
                let mut body = Vec::new();
                match scalar::parse_key(&key_field.kind(), key).map_err(|reason| p.error(reason))? {
                    Scalar::Wire { is_default: true, .. } | Scalar::Unknown => {}
                    Scalar::Wire { bytes, .. } => value(&key_field, &bytes, &mut body),
                }
                p.single(&value_field, json, value_field.kind().as_message().is_some(), &mut body)?;
                wire::delimited(field.number(), &body, out);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Runs `f` with `part` added to the path.
    fn under<T>(
        &mut self,
        part: String,
        f: impl FnOnce(&mut Self) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        self.path.push(part);
        let result = f(self);
        self.path.pop();
        result
    }

    /// The error for what is wrong at the present place.
    pub(super) fn error(&self, reason: String) -> JsonError {
        JsonError::Field { path: self.path.concat(), reason }
    }
}

/// A scalar's key and bytes.
fn value(field: &FieldDescriptor, bytes: &[u8], out: &mut Vec<u8>) {
    match field.kind() {
        Kind::String | Kind::Bytes => wire::delimited(field.number(), bytes, out),
        _ => {
            wire::key(field, out);
            out.extend_from_slice(bytes);
        }
    }
}

/// `null` means absent, but for the two types in which it is a value.
fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(m) => m.full_name() == "google.protobuf.Value" && !field.is_list(),
        Kind::Enum(e) => e.full_name() == "google.protobuf.NullValue" && !field.is_list(),
        _ => false,
    }
}
