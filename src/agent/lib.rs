//! The process beside one stock Envoy: bootstrap and the workload's certificate over SDS.
