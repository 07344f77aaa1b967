//! The ADS wire as a client sees it: a model of Envoy against the protocol, and against a server on a socket.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test stops where something is missing")]

mod end_to_end;
mod names;
mod property;
mod refusals;
mod registrar;
mod secrets;
mod toy;
