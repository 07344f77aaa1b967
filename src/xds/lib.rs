//! Who gets what, when: encoded sets, subscriptions, versions, diffs, push order, and the ADS wire at the rim.

pub mod encoded;
pub mod failure;
pub mod generate;
pub mod kind;
pub mod set;
pub mod slot;
pub mod version;
