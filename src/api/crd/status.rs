//! The `status` that all of Istio's kinds have in common.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// What the control plane tells about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct IstioStatus {
    /// Conditions of the object.
    pub conditions: Vec<IstioCondition>,
    /// What analysis found in the object.
    pub validation_messages: Vec<ValidationMessage>,
    /// Generation of the object that the status is about.
    #[schemars(schema_with = "generation")]
    pub observed_generation: i64,
}

/// A condition of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct IstioCondition {
    /// Type of the condition.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When the condition was last looked at.
    #[schemars(extend("format" = "date-time"))]
    pub last_probe_time: String,
    /// When the condition last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Why the condition last changed, in one word.
    pub reason: String,
    /// Why the condition last changed, for people.
    pub message: String,
    /// Generation of the object that the condition is about.
    #[schemars(schema_with = "generation")]
    pub observed_generation: i64,
}

/// Something that analysis found in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct ValidationMessage {
    /// What was found.
    pub r#type: ValidationMessageType,
    /// How bad it is.
    pub level: ValidationLevel,
    /// Where it is explained.
    pub documentation_url: String,
}

/// A type of findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct ValidationMessageType {
    /// Name for people.
    pub name: String,
    /// Code, such as `IST0101`.
    pub code: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ValidationLevel {
    /// Not said.
    #[default]
    Unknown,
    /// The object does not work.
    Error,
    /// The object may not do what it seems to.
    Warning,
    /// Good to know.
    Info,
}

/// A generation is a number, but proto-JSON writes numbers of 64 bits as strings.
fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true})
}
