//! Who gets what, when: encoded sets, subscriptions, versions, diffs, push order, and the ADS wire at the rim.

mod cache;
pub mod encoded;
pub mod engine;
pub mod failure;
pub mod frame;
pub mod generate;
pub mod kind;
pub mod metrics;
pub mod protocol;
pub mod server;
pub mod set;
pub mod slot;
pub mod spread;
pub mod version;
