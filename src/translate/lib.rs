//! The mesh said in Envoy's words: plans (names, ownership, which rules apply) and the resources built from them.
//!
//! `plan` reads the mesh and a class of proxies and returns keys; `build` reads one key and nothing else.
//! See `src/README.md` for the way from an object to a resource.

mod apart;
mod attach;
pub mod authn;
pub mod authz;
pub mod class;
pub mod clusters;
pub mod context;
pub mod endpoints;
pub mod gateways;
pub mod jwt;
pub mod key;
pub mod listeners;
pub mod names;
pub mod output;
pub mod plan;
pub mod routes;
pub mod scope;
pub mod secrets;
pub mod slots;
pub mod tls;
mod topology;
pub mod trust;
pub mod workload;

pub use class::{Class, OwnView, SharedView};
pub use context::Context;
pub use key::{Entries, Key, Part};
pub use output::Built;
pub use plan::Plan;
