//! For tests only: builders, golden and conformance runners, an ADS client that models Envoy's
//! warming, an API server in memory, the call simulator.

pub mod ads;
pub mod chains;
pub mod compare;
pub mod conformance;
pub mod forms;
pub mod golden;
pub mod guard;
pub mod kubernetes;
pub mod large;
pub mod mesh;
pub mod simulator;
pub mod static_bootstrap;
pub mod tokens;
