//! The binary: flags, environment, wiring, shutdown. No rules of its own.
