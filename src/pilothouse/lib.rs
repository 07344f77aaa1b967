//! The binary: flags, environment, wiring, shutdown. No rules of its own.
//!
//! ```text
//! flags, features   the command line, and what comes as environment variables
//! discovery         the command `discovery`: everything below, joined and supervised
//! feeding           from the outside to the mesh: folders, clusters, keys; the owner of the tables
//! authority         who signs certificates, and what is trusted
//! serving           from the mesh to clients: streams, certificates, questions of the API server
//! telling           what became of objects, for operators
//! control           what is written to the cluster
//! commands          the other commands
//! ```

mod authority;
pub mod commands;
mod control;
pub mod discovery;
pub mod features;
mod feeding;
pub mod flags;
pub mod logging;
pub mod open_files;
mod ports;
mod serving;
mod telling;
