//! A Kubernetes API server as a source of objects.
//!
//! ```text
//!   CustomResourceDefinitions ──> definitions: which kinds are there ─┐ starts and stops
//!                                                                     v
//!   one list, one watch a kind ──> follow ──> reading (decode, trim) ──> state ──Batch──>
//!                                    │                                   (what differs)
//!                                    └── on an error: health (told once), reach (one probe for all)
//! ```
//!
//! - The first batch is complete: it is sent when every kind has been listed. A kind whose definition is not installed
//!   counts as listed.
//! - A list that has to be repeated (the server no longer knows the version that was seen last) is one batch and holds
//!   what differs, deletions too.
//! - An object that does not decode is reported and left out; the watch goes on.
//! - Other clusters than the home cluster are sources of their own: `remote`.
//! - While the server is away what is known stays. One probe waits for it, and all watches go on when it answers.

mod access;
mod client;
mod connection;
mod definitions;
mod document;
mod follow;
mod health;
mod reach;
mod reading;
pub mod remote;
mod scope;
mod source;
mod state;

pub use access::{ReviewError, Reviewer};
pub use client::{ClientError, Credentials, connect};
pub use connection::{Connection, Following, Selection};
pub use follow::Change;
pub use health::{Health, KindHealth};
pub use reach::{answers, chain, jittered};
pub use scope::{defined, resource};
pub use source::{ConfigMaps, Options, SourceError, watch};
