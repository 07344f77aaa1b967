//! Conditions in the status of Istio's kinds, as they stand in a document.
//!
//! Source: Istio API `meta/v1alpha1/status.proto`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A condition of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// What it is about, such as `Accepted`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the status last became another, RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_transition_time: String,
    /// When it was last looked at, RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_probe_time: String,
    /// The generation of the object that it is about.
    #[serde(deserialize_with = "number_or_text", skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
}

impl Condition {
    /// The conditions in a `status`; what is no condition is read over.
    pub(crate) fn of_status(status: &Value) -> Box<[Self]> {
        let listed = status.get("conditions").and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(|one| Self::deserialize(one).ok()).collect()
    }
}

/// Proto-JSON writes numbers of 64 bits as strings, others as numbers.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = || value.as_str().and_then(|text| text.parse().ok());
    Ok(value.as_i64().or_else(text).unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn generations_may_be_texts_and_what_is_no_condition_is_read_over() {
        let status = json!({"conditions": [
            {"type": "Accepted", "status": "True", "observedGeneration": "7"},
            {"type": "Healthy", "status": "False", "observedGeneration": 8, "extra": 1},
            {"type": 5},
            "text",
        ]});
        let read = Condition::of_status(&status);
        let seen: Vec<_> = read.iter().map(|c| (c.r#type.as_str(), c.observed_generation)).collect();
        assert_eq!(seen, [("Accepted", 7), ("Healthy", 8)]);
        assert_eq!(
            serde_json::to_value(&read[0]).unwrap(),
            json!({"type": "Accepted", "status": "True", "observedGeneration": 7})
        );
        assert!(Condition::of_status(&json!({"conditions": {}})).is_empty());
    }
}
