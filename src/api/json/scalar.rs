//! JSON to the wire form of numbers, booleans, strings, bytes and enum values.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, Kind};
use serde_json::Value;

use super::wire::varint;

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, EITHER_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, EITHER_PADDING);

/// What became of a scalar.
pub(super) enum Scalar {
    /// Its wire form without key; for strings and bytes without length.
    Wire {
        bytes: Vec<u8>,
        /// Whether it is the default, which fields without presence leave out.
        is_default: bool,
    },
    /// An enum value of a name that is not known, passed over in lenient mode.
    Unknown,
}

/// Parses a scalar of `kind`; the error says what was wanted.
pub(super) fn parse(kind: &Kind, json: &Value, lenient: bool) -> Result<Scalar, String> {
    let mut out = Vec::new();
    let is_default = match kind {
        Kind::Double => {
            let number = float(json)?;
            out.extend_from_slice(&number.to_le_bytes());
            number.to_bits() == 0
        }
        Kind::Float => {
            let number = single(float(json)?)?;
            out.extend_from_slice(&number.to_le_bytes());
            number.to_bits() == 0
        }
        Kind::Bool => {
            let truth = json.as_bool().ok_or_else(|| wanted("true or false", json))?;
            out.push(u8::from(truth));
            !truth
        }
        Kind::String => {
            let text = json.as_str().ok_or_else(|| wanted("a string", json))?;
            out.extend_from_slice(text.as_bytes());
            text.is_empty()
        }
        Kind::Bytes => {
            out = bytes(json)?;
            out.is_empty()
        }
        Kind::Enum(descriptor) => match enumerated(descriptor, json)? {
            Some(number) => {
                varint(i64::from(number).cast_unsigned(), &mut out);
                number == 0
            }
            None if lenient => return Ok(Scalar::Unknown),
            None => return Err(unknown_value(descriptor, json)),
        },
        _ => integer(kind, json, &mut out)?,
    };
    Ok(Scalar::Wire { bytes: out, is_default })
}

/// Parses a map's key, which JSON always has as a string.
pub(super) fn parse_key(kind: &Kind, key: &str) -> Result<Scalar, String> {
    let json = match (kind, key) {
        (Kind::Bool, "true") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        _ => Value::from(key),
    };
    parse(kind, &json, false)
}

/// Writes an integer of whichever kind; answers whether it is 0.
fn integer(kind: &Kind, json: &Value, out: &mut Vec<u8>) -> Result<bool, String> {
    let number = whole(json)?;
    let range = || format!("{number} is out of range for a field of type {kind:?}");
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            let n = i32::try_from(number).map_err(|_| range())?;
            match kind {
                Kind::Int32 => varint(i64::from(n).cast_unsigned(), out),
                Kind::Sint32 => varint(u64::from((n << 1 ^ n >> 31).cast_unsigned()), out),
                _ => out.extend_from_slice(&n.to_le_bytes()),
            }
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            let n = i64::try_from(number).map_err(|_| range())?;
            match kind {
                Kind::Int64 => varint(n.cast_unsigned(), out),
                Kind::Sint64 => varint((n << 1 ^ n >> 63).cast_unsigned(), out),
                _ => out.extend_from_slice(&n.to_le_bytes()),
            }
        }
        Kind::Uint32 | Kind::Fixed32 => {
            let n = u32::try_from(number).map_err(|_| range())?;
            match kind {
                Kind::Uint32 => varint(u64::from(n), out),
                _ => out.extend_from_slice(&n.to_le_bytes()),
            }
        }
        Kind::Uint64 | Kind::Fixed64 => {
            let n = u64::try_from(number).map_err(|_| range())?;
            match kind {
                Kind::Uint64 => varint(n, out),
                _ => out.extend_from_slice(&n.to_le_bytes()),
            }
        }
        _ => return Err(format!("{kind:?} is not a scalar")),
    }
    Ok(number == 0)
}

/// A whole number, also from a string or written with a fraction of nothing or an exponent (`1.0`, `1e3`).
fn whole(json: &Value) -> Result<i128, String> {
    let error = || wanted("a whole number", json);
    let text = match json {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(error()),
    };
    if let Ok(number) = text.parse::<i128>() {
        return Ok(number);
    }
    let number = plain_float(&text).ok_or_else(error)?;
    // Beyond this a double has no units, and no field holds it.
    if number.fract() != 0.0 || number.abs() >= 1.9e19 {
        return Err(error());
    }
    #[allow(clippy::cast_possible_truncation, reason = "integral and far within an i128")]
    Ok(number as i128)
}

fn float(json: &Value) -> Result<f64, String> {
    let number = match json {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => plain_float(text),
        },
        _ => None,
    };
    number.ok_or_else(|| wanted("a number", json))
}

/// Rust also reads `inf` and `nan` in any case; proto JSON does not.
fn plain_float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

fn single(number: f64) -> Result<f32, String> {
    #[allow(clippy::cast_possible_truncation, reason = "rounding is what the field type asks for")]
    let narrow = number as f32;
    if narrow.is_infinite() && number.is_finite() {
        return Err(format!("{number} is out of range for a field of type float"));
    }
    Ok(narrow)
}

fn bytes(json: &Value) -> Result<Vec<u8>, String> {
    let text = json.as_str().ok_or_else(|| wanted("a base64 string", json))?;
    let url = text.contains(['-', '_']);
    let engine = if url { BASE64_URL } else { BASE64 };
    engine.decode(text).map_err(|e| format!("not base64: {e}"))
}

/// `None` for a name that the enum has not.
pub(super) fn enumerated(descriptor: &EnumDescriptor, json: &Value) -> Result<Option<i32>, String> {
    match json {
        Value::String(name) => Ok(descriptor.get_value_by_name(name).map(|v| v.number())),
        Value::Null if descriptor.full_name() == "google.protobuf.NullValue" => Ok(Some(0)),
        Value::Number(_) => i32::try_from(whole(json)?).map(Some).map_err(|_| wanted("an enum value", json)),
        _ => Err(wanted("the name of an enum value", json)),
    }
}

fn unknown_value(descriptor: &EnumDescriptor, json: &Value) -> String {
    let names: Vec<_> = descriptor.values().map(|v| v.name().to_owned()).collect();
    format!("{} has no value {json}; it has {}", descriptor.full_name(), names.join(", "))
}

/// "wanted a string, found 5".
pub(super) fn wanted(what: &str, found: &Value) -> String {
    match found {
        Value::Object(_) => format!("wanted {what}, found an object"),
        Value::Array(_) => format!("wanted {what}, found a list"),
        _ => format!("wanted {what}, found {found}"),
    }
}
