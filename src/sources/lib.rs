//! The outside world as events: a folder of YAML, a Kubernetes API server, the addresses of host names.

pub mod event;
pub mod feed;
pub mod files;
pub mod kube;
pub mod report;
pub mod resolve;
