//! The leniency of proto-JSON, as a deserializer over a value: null is absent, numbers may be strings, enums may be
//! numbers, fields may have their own names (`snake_case`).
//!
//! Stricter than plain serde in one point: a list is no message.

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Number, Value};

/// A value to read leniently.
pub(crate) struct ProtoJson(pub(crate) Value);

/// Enums whose numbers have gaps, and the number of each variant; elsewhere the number is the position.
const GAPS: [(&str, &[u64]); 2] = [("OutboundMode", &[0, 1, 3]), ("AuthenticationPolicy", &[0, 1, 1000])];

/// A field's JSON name from its own name: `jwks_uri` becomes `jwksUri`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

impl ProtoJson {
    /// The value with a number in a string, or an integral double, made an integer.
    fn integer(self) -> Value {
        match self.0 {
            Value::String(text) => parsed_integer(&text).map_or(Value::String(text), Value::Number),
            Value::Number(number) => Value::Number(integral(&number).unwrap_or(number)),
            other => other,
        }
    }

    /// The value with a number in a string made a double.
    fn double<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Number(number) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => match (text.as_str(), text.parse::<f64>()) {
                ("NaN", _) => visitor.visit_f64(f64::NAN),
                ("Infinity", _) => visitor.visit_f64(f64::INFINITY),
                ("-Infinity", _) => visitor.visit_f64(f64::NEG_INFINITY),
                (_, Ok(number)) if number.is_finite() => visitor.visit_f64(number),
                _ => self.0.deserialize_f64(visitor),
            },
            _ => self.0.deserialize_f64(visitor),
        }
    }
}

fn parsed_integer(text: &str) -> Option<Number> {
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}

/// The integer that a double is, if it is one that a double holds exactly.
fn integral(number: &Number) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let double = number.as_f64().filter(|_| number.is_f64())?;
    (double.fract() == 0.0 && double.abs() <= EXACT).then(|| Number::from(double as i64))
}

fn unexpected(value: &Value) -> de::Unexpected<'_> {
    match value {
        Value::Null => de::Unexpected::Other("null"),
        Value::Bool(value) => de::Unexpected::Bool(*value),
        Value::Number(_) => de::Unexpected::Other("a number"),
        Value::String(text) => de::Unexpected::Str(text),
        Value::Array(_) => de::Unexpected::Other("a list"),
        Value::Object(_) => de::Unexpected::Other("a mapping"),
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.integer().$method(visitor)
        })*
    };
}

macro_rules! plain {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.0.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for ProtoJson {
    type Error = Error;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    plain! {
        deserialize_any deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.double(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.double(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(members) => visitor.visit_map(Members::of_message(members, fields)),
            other => Err(de::Error::invalid_type(unexpected(&other), &"a mapping of fields to values")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(members) => visitor.visit_map(Members::of_map(members)),
            other => Err(de::Error::invalid_type(unexpected(&other), &"a mapping of keys to values")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(elements) => visitor.visit_seq(Elements(elements.into_iter())),
            other => Err(de::Error::invalid_type(unexpected(&other), &"a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(Variant(variant)),
            Value::Number(number) => match variant_of(name, variants, &number) {
                Some(variant) => visitor.visit_enum(Variant(variant.to_owned())),
                None => Err(de::Error::custom(format_args!(
                    "{number} is none of the values {}",
                    variants.join(", ")
                ))),
            },
            other => Err(de::Error::invalid_type(unexpected(&other), &"the name of a value")),
        }
    }
}

/// The name of an enum's variant by its number.
fn variant_of(name: &str, variants: &'static [&'static str], number: &Number) -> Option<&'static str> {
    let number = number.as_u64()?;
    let gaps = GAPS.iter().find(|(with_gaps, _)| *with_gaps == name);
    let position = match gaps {
        Some((_, numbers)) => numbers.iter().position(|candidate| *candidate == number)?,
        None => usize::try_from(number).ok()?,
    };
    variants.get(position).copied()
}

/// The members of a message or the entries of a map.
struct Members {
    rest: serde_json::map::IntoIter,
    /// The fields of the message; `None` for a map, whose keys and nulls are its own.
    fields: Option<&'static [&'static str]>,
    value: Option<Value>,
}

impl Members {
    fn of_message(members: Map<String, Value>, fields: &'static [&'static str]) -> Self {
        Self { rest: members.into_iter(), fields: Some(fields), value: None }
    }

    fn of_map(members: Map<String, Value>) -> Self {
        Self { rest: members.into_iter(), fields: None, value: None }
    }

    /// The JSON name of a field that is given by its own name.
    fn named(&self, key: String) -> String {
        match self.fields {
            Some(fields) if key.contains('_') && !fields.contains(&key.as_str()) => {
                Some(camel_case(&key)).filter(|camel| fields.contains(&camel.as_str())).unwrap_or(key)
            }
            _ => key,
        }
    }
}

impl<'de> MapAccess<'de> for Members {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, value) in self.rest.by_ref() {
            if self.fields.is_some() && value.is_null() {
                continue;
            }
            self.value = Some(value);
            let key = self.named(key);
            return seed.deserialize(Key(key)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(ProtoJson(self.value.take().unwrap_or(Value::Null)))
    }
}

/// A key of a map: a string, or a number in a string.
struct Key(String);

impl<'de> Deserializer<'de> for Key {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.parse::<u32>() {
            Ok(number) => visitor.visit_u32(number),
            Err(_) => visitor.visit_string(self.0),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The elements of a list.
struct Elements(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|element| seed.deserialize(ProtoJson(element))).transpose()
    }
}

/// The name of an enum's value.
struct Variant(String);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = UnitOnly;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, UnitOnly), Error> {
        let name: StringDeserializer<Error> = self.0.into_deserializer();
        seed.deserialize(name).map(|variant| (variant, UnitOnly))
    }
}

/// Values of proto enums carry nothing.
struct UnitOnly;

impl<'de> de::VariantAccess<'de> for UnitOnly {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Error> {
        Err(de::Error::custom("a value of an enum is a name only"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("a value of an enum is a name only"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        Err(de::Error::custom("a value of an enum is a name only"))
    }
}
