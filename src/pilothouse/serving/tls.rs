//! TLS of the control plane's own ports: which certificate is shown, and the listener that shows it. What a standard leaves
//! of it, also where the control plane is the client.
//!
//! ```text
//! a root ──signs──> certificate ──> shown ──> policy (versions, ciphers) ──> listen
//! or files ───────> files ────────^
//! or a signer of Kubernetes ─> requested
//! clients: which certificates of clients are taken
//! ```
//!
//! Source: `shared/spec/kubernetes.md` 1.7 point 6, 1.9.

mod certificate;
mod clients;
mod files;
mod listen;
mod names;
mod origin;
mod policy;
mod requested;
mod shown;
mod standard;
#[cfg(test)]
mod tests;

pub(crate) use certificate::Certificate;
pub(crate) use files::Files;
pub(crate) use listen::TlsListener;
pub(crate) use origin::{Identity, Origin};
pub(crate) use policy::{Policy, Version, cipher};
#[cfg(test)]
pub(crate) use requested::Request;
pub(crate) use standard::hold_clients;
