//! What operators look at: /debug, /ready, /version, /metrics.
