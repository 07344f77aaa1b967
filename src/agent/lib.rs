//! The process beside one stock Envoy: its bootstrap, its workload certificate over SDS, its redirection rules.
//!
//! [`bootstrap`] and [`redirect`] are pure; [`Agent`] is the server behind Envoy's cluster `sds-grpc`.

pub mod bootstrap;
mod clock;
mod duration;
pub mod redirect;
mod sds;
mod socket;

pub use clock::{Clock, SystemClock};
pub use duration::parse_duration;
pub use sds::{Agent, AgentError, Config, Grace, Issuer};
pub use socket::SocketError;
