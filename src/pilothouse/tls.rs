//! TLS of the control plane's own ports: which certificate is shown, and the listener that shows it.
//!
//! ```text
//! a root ──signs──> certificate ──> shown ──> policy (versions, ciphers) ──> listen
//! or files ───────> files ────────^
//! ```
//!
//! Source: `shared/spec/kubernetes.md` 1.7 point 6, 1.9.

mod certificate;
mod files;
mod listen;
mod names;
mod policy;
mod shown;
#[cfg(test)]
mod tests;

pub(crate) use certificate::Certificate;
pub(crate) use files::Files;
pub(crate) use listen::TlsListener;
pub(crate) use names::names;
pub(crate) use policy::{Policy, Version, cipher};
