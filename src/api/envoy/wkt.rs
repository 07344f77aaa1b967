//! Conversions between `google.protobuf`'s well-known types and Rust's own.

use std::collections::BTreeMap;
use std::time::Duration as StdDuration;

use crate::google::protobuf::{
    Any, BoolValue, BytesValue, DoubleValue, Duration, FloatValue, Int32Value, Int64Value, ListValue,
    NullValue, StringValue, Struct, Timestamp, UInt32Value, UInt64Value, Value, value::Kind,
};

/// What fits a protobuf duration's nanosecond part.
const NANOS_PER_MILLI: i32 = 1_000_000;

impl Duration {
    /// So many seconds; negative ones too.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// So many milliseconds; negative ones too.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        // The remainder is within +-999 and its product within an i32.
        Self { seconds: millis / 1000, nanos: (millis % 1000) as i32 * NANOS_PER_MILLI }
    }

    /// As Rust's duration; negative ones give `None`.
    #[must_use]
    pub fn to_std(&self) -> Option<StdDuration> {
        let nanos = u32::try_from(self.nanos).ok().filter(|n| *n < 1_000_000_000)?;
        Some(StdDuration::new(u64::try_from(self.seconds).ok()?, nanos))
    }
}

/// Seconds beyond an `i64` (292 thousand million years) are cut to it.
impl From<StdDuration> for Duration {
    fn from(d: StdDuration) -> Self {
        Self {
            seconds: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            nanos: d.subsec_nanos().cast_signed(),
        }
    }
}

impl Timestamp {
    /// So many seconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_secs(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

macro_rules! wrappers {
    ($($wrapper:ident($inner:ty)),* $(,)?) => {$(
        impl From<$inner> for $wrapper {
            fn from(value: $inner) -> Self {
                Self { value }
            }
        }
    )*};
}

wrappers!(
    BoolValue(bool),
    BytesValue(Vec<u8>),
    DoubleValue(f64),
    FloatValue(f32),
    Int32Value(i32),
    Int64Value(i64),
    StringValue(String),
    UInt32Value(u32),
    UInt64Value(u64),
);

impl From<&str> for StringValue {
    fn from(value: &str) -> Self {
        Self { value: value.to_owned() }
    }
}

impl Value {
    /// JSON's `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self { kind: Some(Kind::NullValue(NullValue::NullValue as i32)) }
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Kind::BoolValue(value).into()
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Kind::NumberValue(value).into()
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        f64::from(value).into()
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        f64::from(value).into()
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Kind::StringValue(value.to_owned()).into()
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Kind::StringValue(value).into()
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Kind::StructValue(value).into()
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Kind::ListValue(values.into_iter().collect()).into()
    }
}

impl<T: Into<Value>> FromIterator<T> for ListValue {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self { values: values.into_iter().map(Into::into).collect() }
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Struct {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self { fields: fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }
}

/// `Struct::from([("config", Value::from("/apis/..."))])`.
impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Struct {
    fn from(fields: [(K, V); N]) -> Self {
        fields.into_iter().collect()
    }
}

impl From<BTreeMap<String, Value>> for Struct {
    fn from(fields: BTreeMap<String, Value>) -> Self {
        Self { fields }
    }
}

impl Any {
    /// The full name of the message inside.
    #[must_use]
    pub fn type_name(&self) -> &str {
        crate::type_name(&self.type_url)
    }
}
