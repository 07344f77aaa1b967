//! The binary: flags, environment, wiring, shutdown. No rules of its own.

mod analysis;
pub mod bootstrap;
mod cluster;
mod control;
mod counts;
pub mod discovery;
pub mod features;
pub mod flags;
mod inputs;
mod intake;
pub mod logging;
mod mesh_thread;
mod outcomes;
mod peers;
mod pod;
mod ports;
pub mod preview;
mod registration;
mod remote;
pub mod reports;
mod root;
mod tls;
pub mod translator;
pub mod validate;
pub mod version;
mod webhooks;
