//! Schemas of the kinds, as Kubernetes wants them: the rules that stand on the types, and the form that the API server reads.
//!
//! A type's `#[schemars(...)]` attributes say what a document must hold beyond its field's types; [`structural`] makes of
//! the derived JSON schema what a CustomResourceDefinition may carry.

mod rules;
mod scalars;
mod structural;

pub(crate) use rules::{
    also_named, any_span, at_most_one, cel, items, list_map, max_length, one_of, port, property, required,
    values, without_rule,
};
pub(crate) use structural::structural;

#[cfg(test)]
mod tests;
