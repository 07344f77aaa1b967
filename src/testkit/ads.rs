//! An ADS client that models Envoy: what warms on what, what is acknowledged when, what is asked for again.
//!
//! [`Envoy`] is pure: requests come out, responses go in (facts: spec/stock-envoy.md 3). [`Connection`] carries them over a
//! socket.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test is to stop at what the model does not know"
)]

mod connection;
mod envoy;
mod references;
mod resource;
mod subscription;

pub use connection::Connection;
pub use envoy::{Envoy, Kind, Request, Response, Variant};
