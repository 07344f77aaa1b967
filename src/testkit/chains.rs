//! Whether a listener's filter chains are told apart as Envoy wants it: it refuses a listener of which two chains match
//! one connection alike, or of which one names a part of its match twice.
//!
//! Source: Envoy, `FilterChainMatch` and "multiple filter chains with overlapping matching rules are defined".

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

/// What is wrong with the chains of a listener (canonical JSON), in words; nothing if Envoy takes them.
pub fn conflicts(listener: &Value) -> Vec<String> {
    let mut seen: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut found = Vec::new();
    let chains = listener.get("filterChains").and_then(Value::as_array);
    for (index, chain) in chains.into_iter().flatten().enumerate() {
        let matched = chain.get("filterChainMatch").unwrap_or(&Value::Null);
        for name in texts(matched, "serverNames") {
            if name.contains('*') && !name.starts_with("*.") {
                found.push(format!("chain {index}: partial wildcard {name:?}"));
            }
        }
        for connection in connections(matched) {
            if let Some(other) = seen.get(&connection) {
                found.push(format!("chains {other} and {index} both match {connection:?}"));
            }
            seen.insert(connection, index);
        }
    }
    found
}

/// Every combination of the parts of a match, in the forms that Envoy compares.
fn connections(matched: &Value) -> Vec<Vec<String>> {
    let one = |field: &str| vec![matched.get(field).map(Value::to_string).unwrap_or_default()];
    let parts = [
        one("destinationPort"),
        ranges(matched, "prefixRanges"),
        texts(matched, "serverNames").iter().map(|name| name.to_lowercase()).collect(),
        one("transportProtocol"),
        texts(matched, "applicationProtocols"),
        ranges(matched, "directSourcePrefixRanges"),
        one("sourceType"),
        ranges(matched, "sourcePrefixRanges"),
        texts(matched, "sourcePorts"),
    ];
    let mut all = vec![Vec::new()];
    for mut part in parts {
        if part.is_empty() {
            part.push(String::new());
        }
        let with = |before: &Vec<String>| {
            let before = before.clone();
            part.iter()
                .map(move |p| [before.as_slice(), std::slice::from_ref(p)].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

fn texts(matched: &Value, field: &str) -> Vec<String> {
    let list = matched.get(field).and_then(Value::as_array);
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    list.into_iter().flatten().map(text).collect()
}

/// Ranges, cut to their length.
fn ranges(matched: &Value, field: &str) -> Vec<String> {
    let list = matched.get(field).and_then(Value::as_array);
    list.into_iter().flatten().map(range).collect()
}

fn range(value: &Value) -> String {
    let address = value.get("addressPrefix").and_then(Value::as_str).unwrap_or_default();
    let length = value.get("prefixLen").and_then(Value::as_u64).and_then(|l| u32::try_from(l).ok());
    let length = length.unwrap_or_default();
    let cut = |bits: u128, all: u32| {
        let host = all.saturating_sub(length);
        bits.checked_shr(host).and_then(|b| b.checked_shl(host)).unwrap_or_default()
    };
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("v4 {:x}/{length}", cut(u32::from(ip).into(), 32)),
        Ok(IpAddr::V6(ip)) => format!("v6 {:x}/{length}", cut(ip.into(), 128)),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(matches: &[Value]) -> usize {
        let chains: Vec<Value> = matches.iter().map(|m| json!({"filterChainMatch": m})).collect();
        conflicts(&json!({"filterChains": chains})).len()
    }

    #[test]
    fn what_overlaps_in_every_part_conflicts() {
        let names = |names: &[&str]| json!({"serverNames": names});
        assert_eq!(of(&[names(&["a", "b"]), names(&["c"]), names(&["*.a"]), json!({})]), 0);
        assert_eq!(of(&[names(&["a", "b"]), names(&["c", "B"])]), 1);
        assert_eq!(of(&[names(&["a", "a"])]), 1, "within one chain");
        assert_eq!(of(&[names(&["*a"])]), 1);
        assert_eq!(of(&[json!({}), Value::Null]), 1);
        let alpn = |alpn: &str| json!({"serverNames": ["a"], "applicationProtocols": [alpn]});
        assert_eq!(of(&[alpn("x"), alpn("y"), names(&["a"])]), 0);
        let range = |prefix: &str, length: u32| json!({"prefixRanges": [{"addressPrefix": prefix, "prefixLen": length}]});
        assert_eq!(of(&[range("10.1.0.0", 8), range("10.0.0.0", 16), range("::", 8)]), 0);
        assert_eq!(of(&[range("10.1.0.0", 8), range("10.2.0.0", 8)]), 1);
    }
}
