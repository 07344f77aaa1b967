//! The outside world as events: a folder of YAML, a Kubernetes API server.

pub mod event;
pub mod feed;
pub mod files;
pub mod kube;
pub mod report;
