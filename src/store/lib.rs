//! How the mesh changes: objects in, the next Mesh and what changed out.
//!
//! `Tables` holds every object that is known and has one owner. `Tables::apply` takes one object, or its absence,
//! and marks what it touches; `Tables::next` rebuilds only the touched sections of the mesh. Applying objects one
//! by one ends in the same mesh as applying them all at once.

mod credentials;
mod destination_rules;
mod dirty;
mod endpoints;
mod ingress;
mod interest;
mod jwks;
mod moved;
mod namespaces;
mod networks;
mod next;
mod pacing;
mod pod_names;
mod problems;
mod registry;
mod services;
mod settings;
mod tables;
mod trust;
mod virtual_services;
mod workloads;

pub use next::{Next, Pending};
pub use pacing::{Limits, Pacing};
pub use settings::Options;
pub use tables::Tables;
