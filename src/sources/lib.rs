//! The outside world as events: a folder of YAML.

pub mod event;
pub mod files;
pub mod report;
