//! The normal form of a resource: order without meaning is sorted away, chance is dropped.

use std::collections::BTreeMap;

use serde_json::Value;

/// Lists whose order means nothing to Envoy, by the field that holds them.
const UNORDERED: [&str; 13] = [
    "additionalAddresses",
    "customTags",
    "domains",
    "endpoints",
    "filterChains",
    "lbEndpoints",
    "prefixRanges",
    "queryParameters",
    "retriableStatusCodes",
    "serverNames",
    "sourcePrefixRanges",
    "spaceDelimitedClaims",
    "virtualHosts",
];

/// The same, but only within a field of the second name.
const UNORDERED_WITHIN: [(&str, &str); 5] = [
    ("applicationProtocols", "filterChainMatch"),
    ("ids", "andIds"),
    ("ids", "orIds"),
    ("rules", "andRules"),
    ("rules", "orRules"),
];

/// What depends on time, chance or an object's resource version.
const DROPPED: [&str; 3] = ["ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION", "lastUpdated", "versionInfo"];

/// Where a case's JSON web keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// They stand in the case and must be equal, as JSON.
    Given,
    /// The reference fetched them when the case was recorded: their content is not compared.
    Fetched,
}

/// The normal form; absent and empty, absent and zero stay different, as they are for Envoy.
#[must_use]
pub fn normal(resource: &Value, keys: Keys) -> Value {
    form(resource, "", "", keys)
}

/// `key` is the field that holds the value or, for an item, its list; `within` is the field around that one.
fn form(value: &Value, key: &str, within: &str, keys: Keys) -> Value {
    match value {
        Value::Object(object) => {
            // Sorted, whichever order the JSON library keeps: items are compared by their text.
            let fields: BTreeMap<_, _> = object
                .iter()
                .filter(|(name, _)| !DROPPED.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), field(name, value, key, keys)))
                .collect();
            fields.into_iter().collect()
        }
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(|v| form(v, key, within, keys)).collect();
            if UNORDERED.contains(&key) || UNORDERED_WITHIN.contains(&(key, within)) {
                items.sort_by_cached_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::Number(number) => match number.as_f64() {
            #[allow(clippy::cast_possible_truncation, reason = "integral and small")]
            Some(n) if number.is_f64() && n.fract() == 0.0 && n.abs() < 1e15 => Value::from(n as i64),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

fn field(name: &str, value: &Value, of: &str, keys: Keys) -> Value {
    if let ("localJwks", "inlineString", Some(text)) = (of, name, value.as_str()) {
        return match keys {
            Keys::Fetched => Value::from("<keys>"),
            Keys::Given => {
                let parsed = serde_json::from_str(text).ok().filter(Value::is_object);
                form(parsed.as_ref().unwrap_or(value), name, of, keys)
            }
        };
    }
    form(value, name, of, keys)
}
