//! For tests only: builders, golden and conformance runners, an ADS client that models Envoy's warming.

pub mod ads;
pub mod compare;
pub mod conformance;
pub mod forms;
pub mod large;
pub mod mesh;
