//! The schemas of the scalars: what JSON carries for a span of time, a double, bytes, a free-form value.

use std::borrow::Cow;

use schemars::transform::Transform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::rules::cel;
use crate::scalar::{Base64, Duration, F64, Json};

macro_rules! schema_of {
    ($type:ident, $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

schema_of!(Duration, span());
schema_of!(F64, json_schema!({"type": "number", "format": "double"}));
schema_of!(Base64, json_schema!({"type": "string", "format": "byte"}));
schema_of!(Json, json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));

fn span() -> Schema {
    let mut schema = json_schema!({"type": "string"});
    cel("a duration is at least 1ms", "duration(self) >= duration('1ms')").transform(&mut schema);
    schema
}
