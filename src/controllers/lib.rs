//! Decisions become writes to Kubernetes, by one replica at a time.
//!
//! ```text
//!   sources::feed ──> a controller ──> write ──> API server
//!   (what is there)   (what should be)  (rate, retries, told once)
//!                          ^
//!                      election: runs it while this replica leads
//! ```

pub mod ca_secret;
pub mod discovered;
pub mod election;
mod event;
pub mod expiring;
pub mod ingress_status;
pub mod ip_allocate;
mod queue;
pub mod registration;
pub mod root_cert;
pub mod signing;
pub mod status;
#[cfg(test)]
mod testing;
pub mod trust_bundle;
pub mod webhooks;
pub mod write;
